//! The files of a private Asterisk's `etc`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::database::{Kind, Named, PASSWORD, USER};

/// Someone with an endpoint, an auth and an AOR of the same name.
#[derive(Clone, Debug)]
pub struct Person {
    /// The extension.
    pub extension: String,
    /// The digest password.
    pub password: String,
}

/// Where an Asterisk keeps contacts.
#[derive(Clone, Debug, Default)]
pub enum Contacts {
    /// In its own astdb, as most do (the server's mirror mode).
    #[default]
    Astdb,
    /// In the table `ps_contacts` of this SQLite file, through ODBC (the server's shared mode).
    Table(PathBuf),
    /// The same of a database server: MariaDB's through ODBC, PostgreSQL's by Asterisk's own driver.
    Remote(Named),
}

/// What a test may want otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose endpoints there are.
    pub people: Vec<Person>,
    /// Seconds between two OPTIONS to a contact; 0 tests nobody.
    pub qualify_frequency: u32,
    /// Seconds between two sweeps of expired contacts.
    pub expiration_check: u32,
    /// The codecs an endpoint may use, in Asterisk's names and order.
    pub codecs: String,
    /// Whether a hold by one side of a call is passed on to the other, instead of music.
    pub pass_hold: bool,
    /// Whether everybody has a mailbox, whose messages are left at the number 700 followed by the extension.
    pub voicemail: bool,
    /// More lines of every endpoint, such as `rtcp_mux = yes`.
    pub endpoint: String,
    /// More lines of every auth, such as `supported_algorithms_uas = SHA-256`.
    pub auth: String,
    /// The manager's name and secret, for the server.
    pub manager: (String, String),
    /// Where contacts are kept.
    pub contacts: Contacts,
    /// ARI's user and password, for the server.
    pub ari: (String, String),
    /// Files of `etc`, by name, that are written instead of these settings' own; `{sip}`, `{ami}` and `{http}` in them
    /// are the ports.
    pub files: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Settings {
        let person = |extension: &str| Person {
            extension: extension.to_owned(),
            password: format!("secret-of-{extension}"),
        };
        Settings {
            people: ["1001", "1002", "1003"].map(person).to_vec(),
            qualify_frequency: 1,
            expiration_check: 1,
            codecs: "opus,ulaw".to_owned(),
            pass_hold: false,
            voicemail: false,
            endpoint: String::new(),
            auth: String::new(),
            manager: ("rollcall".to_owned(), "secret-of-the-manager".to_owned()),
            ari: ("rollcall".to_owned(), "secret-of-ari".to_owned()),
            contacts: Contacts::default(),
            files: Vec::new(),
        }
    }
}

/// Where everything goes.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) root: &'a Path,
    pub(super) modules: &'a Path,
    pub(super) drivers: &'a Path,
    pub(super) sip: u16,
    pub(super) ami: u16,
    pub(super) http: u16,
    pub(super) tls: u16,
}

/// The file in `etc` that holds the certificate of the TLS transport, which is its own authority.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// Its key.
const KEY: &str = "key.pem";

/// What is loaded: what this product touches, and nothing that talks to the outside.
const MODULES: &str = "
app_dial app_echo app_milliwatt app_playback app_queue app_read app_senddtmf app_stack app_transfer app_verbose app_chanspy app_confbridge
bridge_builtin_features bridge_holding bridge_native_rtp bridge_simple bridge_softmix
chan_pjsip codec_a_mu codec_alaw codec_g722 codec_opus_open_source codec_resample codec_ulaw
format_pcm format_sln format_wav
func_callerid func_channel func_db func_devstate func_hangupcause func_logic func_pjsip_aor func_pjsip_contact
func_pjsip_endpoint func_strings func_volume
pbx_config
res_clioriginate res_ari res_ari_asterisk res_ari_channels res_ari_endpoints res_ari_events res_ari_model res_crypto res_format_attr_opus
res_http_websocket res_websocket_client res_manager_devicestate res_mutestream res_musiconhold res_pjproject
res_pjsip res_pjsip_authenticator_digest res_pjsip_caller_id res_pjsip_dlg_options res_pjsip_dtmf_info
res_pjsip_endpoint_identifier_user res_pjsip_exten_state res_pjsip_header_funcs res_pjsip_logger res_pjsip_maintenance
res_pjsip_dialog_info_body_generator res_pjsip_nat res_pjsip_notify res_pjsip_outbound_authenticator_digest res_pjsip_outbound_publish res_pjsip_path res_pjsip_pubsub res_pjsip_refer
res_pjsip_registrar res_pjsip_rfc3326 res_pjsip_sdp_rtp res_pjsip_session res_pjsip_transport_websocket
res_rtp_asterisk res_security_log res_sorcery_astdb res_sorcery_config res_sorcery_memory res_sorcery_realtime
res_srtp res_stasis res_stasis_playback res_stasis_recording res_stasis_answer res_stasis_device_state res_stasis_snoop res_timing_timerfd
";

/// What mailboxes need besides.
const VOICEMAIL_MODULES: &str = "app_voicemail res_pjsip_mwi res_pjsip_mwi_body_generator";

/// What contacts in a database need besides.
const ODBC_MODULES: &str = "res_odbc res_odbc_transaction res_config_odbc";

/// What contacts in PostgreSQL need instead.
const POSTGRES_MODULE: &str = "res_config_pgsql";

/// The name of the connection in `res_odbc.conf` and of the data source in `odbc.ini`.
const CONNECTION: &str = "contacts";

/// Files whose absence a module complains about.
const EMPTY: [&str; 5] = [
    "confbridge.conf",
    "features.conf",
    "musiconhold.conf",
    "pjsip_notify.conf",
    "queuerules.conf",
];

const DIALPLAN: &str = "\
[agents]
; Echo
exten => 600,1,Answer()
 same => n,Echo()
; A steady tone of 1004 Hz
exten => 601,1,Answer()
 same => n,Milliwatt()
; Four keys, said again as keys
exten => 602,1,Answer()
 same => n,Read(KEYS,,4,,1,10)
 same => n,SendDTMF(${KEYS})
 same => n,Wait(10)
; Answers, and hands whoever called on to the echo
exten => 603,1,Answer()
 same => n,Transfer(PJSIP/sip:600@${CHANNEL(pjsip,local_addr)})
 same => n,Hangup()
; Leaves a message
exten => _700X.,1,Answer()
 same => n,VoiceMail(${EXTEN:3}@default,s)
; Every device of an agent
exten => _1XXX,1,Set(DEVICES=${PJSIP_DIAL_CONTACTS(${EXTEN})})
 same => n,GotoIf($[\"${DEVICES}\" = \"\"]?nobody)
 same => n,Dial(${DEVICES},30)
 same => n,Hangup()
 same => n(nobody),Hangup(20)
";

pub(super) fn write(place: &Place<'_>, settings: &Settings) -> io::Result<()> {
    for folder in ["etc", "run", "log", "spool", "lib/keys"] {
        fs::create_dir_all(place.folder.join(folder))?;
    }
    let save = |name: &str, text: String| fs::write(place.folder.join("etc").join(name), text);
    save("asterisk.conf", asterisk(place))?;
    save("modules.conf", modules(settings))?;
    save("odbcinst.ini", odbc_drivers(place))?;
    save("odbc.ini", odbc_sources(settings))?;
    if !matches!(settings.contacts, Contacts::Astdb) {
        save(
            "sorcery.conf",
            "[res_pjsip]\ncontact = realtime,ps_contacts\n".to_owned(),
        )?;
        let driver = match settings.contacts.in_postgres() {
            Some(_) => "pgsql,public".to_owned(),
            None => format!("odbc,{CONNECTION}"),
        };
        save(
            "extconfig.conf",
            format!("[settings]\nps_contacts => {driver},ps_contacts\n"),
        )?;
        save("res_odbc.conf", odbc_connection(settings))?;
        save("res_pgsql.conf", postgres(settings))?;
    }
    save(
        "logger.conf",
        "[general]\ndateformat=%F %T.%3q\n[logfiles]\nfull => notice,warning,error,verbose\n"
            .to_owned(),
    )?;
    save("manager.conf", manager(place, settings))?;
    save(
        "http.conf",
        format!(
            "[general]\nenabled=yes\nbindaddr=127.0.0.1\nbindport={}\n",
            place.http
        ),
    )?;
    save("ari.conf", ari(settings))?;
    save(
        "rtp.conf",
        "[general]\nrtpstart=10000\nrtpend=19998\nstrictrtp=yes\nicesupport=no\n".to_owned(),
    )?;
    save("queues.conf", "[general]\npersistentmembers=no\n[support]\nstrategy=ringall\nringinuse=no\njoinempty=yes\n".to_owned())?;
    for name in EMPTY {
        save(name, "[general]\n".to_owned())?;
    }
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    save(CERTIFICATE, made.cert.pem())?;
    save(KEY, made.signing_key.serialize_pem())?;
    save("voicemail.conf", voicemail(settings))?;
    save("extensions.conf", dialplan(settings))?;
    save("pjsip.conf", pjsip(place, settings))?;
    for (name, text) in &settings.files {
        let ports = [
            ("{sip}", place.sip),
            ("{ami}", place.ami),
            ("{http}", place.http),
        ];
        let text = ports.iter().fold(text.clone(), |text, (name, port)| {
            text.replace(name, &port.to_string())
        });
        save(name, text)?;
    }
    Ok(())
}

impl Contacts {
    fn in_postgres(&self) -> Option<&Named> {
        match self {
            Contacts::Remote(named) if named.kind == Kind::Postgres => Some(named),
            _ => None,
        }
    }
}

/// As Debian's `libsqliteodbc` and `odbc-mariadb` register their drivers.
fn odbc_drivers(place: &Place<'_>) -> String {
    let drivers = place.drivers.display();
    format!(
        "[SQLite3]\nDriver = {drivers}/libsqlite3odbc.so\n[MariaDB Unicode]\nDriver = {drivers}/libmaodbc.so\n"
    )
}

fn odbc_connection(settings: &Settings) -> String {
    let who = match &settings.contacts {
        Contacts::Remote(named) if named.kind == Kind::MariaDb => {
            format!("username => {USER}\npassword => {PASSWORD}\n")
        }
        Contacts::Remote(_) => return String::new(),
        _ => String::new(),
    };
    format!("[{CONNECTION}]\nenabled => yes\ndsn => {CONNECTION}\n{who}pre-connect => yes\n")
}

fn postgres(settings: &Settings) -> String {
    let Some(named) = settings.contacts.in_postgres() else {
        return String::new();
    };
    format!(
        "[general]\ndbhost = 127.0.0.1\ndbport = {}\ndbname = {}\ndbuser = {USER}\ndbpass = {PASSWORD}\nrequirements = warn\n",
        named.port, named.name
    )
}

fn odbc_sources(settings: &Settings) -> String {
    match &settings.contacts {
        Contacts::Astdb => String::new(),
        Contacts::Remote(named) => format!(
            "[{CONNECTION}]\nDriver = MariaDB Unicode\nServer = 127.0.0.1\nPort = {}\nDatabase = {}\n",
            named.port, named.name
        ),
        Contacts::Table(file) => format!(
            "[{CONNECTION}]\nDriver = SQLite3\nDatabase = {}\nTimeout = 2000\nJournalMode = WAL\n",
            file.display()
        ),
    }
}

fn asterisk(place: &Place<'_>) -> String {
    let folder = place.folder.display();
    let root = place.root.display();
    format!(
        "[directories]
astetcdir => {folder}/etc
astmoddir => {modules}
astvarlibdir => {folder}/lib
astdbdir => {folder}/lib
astkeydir => {folder}/lib
astdatadir => {root}/usr/share/asterisk
astagidir => {root}/usr/share/asterisk/agi-bin
astspooldir => {folder}/spool
astrundir => {folder}/run
astlogdir => {folder}/log
astsbindir => {root}/usr/sbin
[options]
verbose = 3
systemname = lab
",
        modules = place.modules.display()
    )
}

fn modules(settings: &Settings) -> String {
    let drivers = match settings.contacts.in_postgres() {
        Some(_) => POSTGRES_MODULE,
        None => ODBC_MODULES,
    };
    let voicemail = match settings.voicemail {
        true => VOICEMAIL_MODULES,
        false => "",
    };
    MODULES
        .split_whitespace()
        .chain(voicemail.split_whitespace())
        .chain(drivers.split_whitespace())
        .fold("[modules]\nautoload=no\n".to_owned(), |text, module| {
            text + "load = " + module + ".so\n"
        })
}

fn manager(place: &Place<'_>, settings: &Settings) -> String {
    let (name, secret) = &settings.manager;
    format!(
        "[general]
enabled = yes
bindaddr = 127.0.0.1
port = {port}
[{name}]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,agent,user,reporting,security
write = system,call,agent,command,reporting,originate
",
        port = place.ami
    )
}

fn ari(settings: &Settings) -> String {
    let (name, secret) = &settings.ari;
    format!(
        "[general]\nenabled = yes\n[{name}]\ntype = user\nread_only = no\npassword = {secret}\npassword_format = plain\n"
    )
}

fn dialplan(settings: &Settings) -> String {
    settings
        .people
        .iter()
        .fold(DIALPLAN.to_owned(), |mut text, person| {
            let _ = writeln!(text, "exten => {0},hint,PJSIP/{0}", person.extension);
            text
        })
}

fn voicemail(settings: &Settings) -> String {
    let mut text = "[general]\nformat = wav\nminsecs = 0\n[default]\n".to_owned();
    for person in &settings.people {
        let _ = writeln!(text, "{0} => 1234,Agent {0}", person.extension);
    }
    text
}

fn pjsip(place: &Place<'_>, settings: &Settings) -> String {
    let mut text = format!(
        "[global]
type = global
endpoint_identifier_order = username
contact_expiration_check_interval = {sweep}

[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{port}

[tcp]
type = transport
protocol = tcp
bind = 127.0.0.1:{port}

[tls]
type = transport
protocol = tls
bind = 127.0.0.1:{tls}
cert_file = {etc}/{CERTIFICATE}
priv_key_file = {etc}/{KEY}
method = tlsv1_2

[ws]
type = transport
protocol = ws
bind = 127.0.0.1:{port}
",
        sweep = settings.expiration_check,
        port = place.sip,
        tls = place.tls,
        etc = place.folder.join("etc").display(),
    );
    for person in &settings.people {
        text += &endpoint(person, settings);
    }
    text
}

fn endpoint(
    Person {
        extension,
        password,
    }: &Person,
    Settings {
        qualify_frequency,
        codecs,
        pass_hold,
        voicemail,
        endpoint,
        auth,
        ..
    }: &Settings,
) -> String {
    let mailboxes = match voicemail {
        true => format!("mailboxes = {extension}@default\n"),
        false => String::new(),
    };
    let pass_hold = if *pass_hold { "yes" } else { "no" };
    format!(
        "
[{extension}]
type = endpoint
context = agents
disallow = all
allow = {codecs}
auth = {extension}
aors = {extension}
callerid = \"Agent {extension}\" <{extension}>
direct_media = no
rtp_symmetric = yes
force_rport = yes
rewrite_contact = yes
moh_passthrough = {pass_hold}
{endpoint}

[{extension}]
type = auth
auth_type = userpass
username = {extension}
password = {password}
{auth}

[{extension}]
type = aor
max_contacts = 5
remove_existing = no
minimum_expiration = 5
default_expiration = 120
qualify_frequency = {qualify_frequency}
qualify_timeout = 1.0
qualify_2xx_only = yes
{mailboxes}"
    )
}
