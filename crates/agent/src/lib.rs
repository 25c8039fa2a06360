//! One agent's day without a window: sign-in, lease, phone, board.
