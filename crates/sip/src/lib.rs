//! A sans-IO SIP user agent on rsip's types.
