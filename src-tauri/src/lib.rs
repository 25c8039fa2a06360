//! The desktop shell: windows, keychain, what the operating system offers.
//!
//! Commands forward to [`rollcall_agent`], which owns the state; [`controller`] makes view models of it.
//! No SIP, no HTTP and no decision lives here; no token, password or SIP address reaches a page.

pub mod commands;
pub mod controller;
pub mod desk;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod keychain;
pub mod settings;
#[cfg(target_os = "linux")]
mod sleep;
#[cfg(test)]
mod tests;
pub mod windows;

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use rollcall_agent::{Agent, AgentConfig, Keeper, device_id};
use tauri::{AppHandle, Manager, RunEvent, Runtime, generate_handler};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::{
    controller::Facts,
    desk::Desk,
    keychain::{Keychain, NoKeychain},
    settings::{Preset, Remembered},
};

/// Runs the app until its phone window is closed.
pub fn run() -> ExitCode {
    let outcome = Preset::read().and_then(|preset| {
        start_log(&preset)?;
        run_with(preset)
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("rollcall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_with(preset: Preset) -> anyhow::Result<ExitCode> {
    let mut builder = tauri::Builder::default();
    if !preset.multiple {
        // First of the plugins, as it must be: a second start only shows the first one's window.
        builder = builder.plugin(tauri_plugin_single_instance::init(|app, _, _| {
            if let Err(error) = windows::show_phone(app) {
                tracing::warn!(%error, "the window could not be shown");
            }
        }));
    }
    let app = with_commands(builder)
        .setup(move |app| {
            set_up(app.handle(), &preset)?;
            Ok(())
        })
        .build(tauri::generate_context!())
        .context("the app cannot be built")?;
    let code = app.run_return(|app, event| {
        if let RunEvent::ExitRequested {
            api, code: None, ..
        } = event
        {
            // The last window is gone without a sign-out having been asked for.
            api.prevent_exit();
            windows::leave(app);
        }
    });
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The commands that `rollcall_wire::ui::commands` names.
pub(crate) fn with_commands<R: Runtime>(builder: tauri::Builder<R>) -> tauri::Builder<R> {
    builder.invoke_handler(generate_handler![
        commands::phone_view,
        commands::dashboard_view,
        commands::sign_in,
        commands::cancel_sign_in,
        commands::sign_out,
        commands::try_here,
        commands::dial,
        commands::answer,
        commands::decline,
        commands::hang_up,
        commands::set_muted,
        commands::open_dashboard,
        commands::take_over,
        commands::explain,
        commands::prove,
        commands::transfer,
        commands::pause,
    ])
}

fn set_up<R: Runtime>(app: &AppHandle<R>, preset: &Preset) -> anyhow::Result<()> {
    let folder = match &preset.data_dir {
        Some(folder) => folder.clone(),
        None => app.path().app_config_dir()?,
    };
    let desk = tauri::async_runtime::block_on(async { make_desk(preset, folder) })?;
    app.manage(Arc::clone(&desk));
    windows::open_phone(app)?;
    let resuming = Arc::clone(&desk);
    tauri::async_runtime::spawn(async move { resuming.resume().await });
    #[cfg(target_os = "linux")]
    tauri::async_runtime::spawn(sleep::follow(desk.agent().clone()));
    tauri::async_runtime::spawn(windows::keep_informed(app.clone(), desk));
    leave_on_signals(app.clone());
    Ok(())
}

/// The agent with its surroundings. Needs a runtime around it.
pub(crate) fn make_desk(preset: &Preset, folder: PathBuf) -> anyhow::Result<Arc<Desk>> {
    make_desk_with(preset, folder, keeper)
}

fn make_desk_with(
    preset: &Preset,
    folder: PathBuf,
    keeper: impl FnOnce(&Preset, String, watch::Sender<Facts>) -> Arc<dyn Keeper>,
) -> anyhow::Result<Arc<Desk>> {
    let remembered = Remembered::read(&folder).under(preset);
    let facts = watch::Sender::new(Facts {
        server: remembered.server,
        username: remembered.username,
        demo: preset.demo.clone(),
        can_try_here: cfg!(feature = "embedded"),
        ..Facts::default()
    });
    let device = device_id(&folder.join("device-id"))?;
    let mut config = AgentConfig::new(device.clone());
    config.audio = preset.audio()?;
    config.keeper = keeper(preset, device, facts.clone());
    let agent = Agent::start(config)?;
    Ok(Arc::new(Desk::new(agent, facts, folder)))
}

fn keeper(preset: &Preset, device: String, facts: watch::Sender<Facts>) -> Arc<dyn Keeper> {
    if preset.no_keychain {
        Arc::new(NoKeychain { facts })
    } else {
        Arc::new(Keychain::new(device, facts))
    }
}

#[cfg(unix)]
fn leave_on_signals<R: Runtime>(app: AppHandle<R>) {
    use tokio::signal::unix::{SignalKind, signal};
    tauri::async_runtime::spawn(async move {
        let (Ok(mut term), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return tracing::warn!("signals cannot be heard; closing the window still signs out");
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        windows::leave(&app);
    });
}

#[cfg(not(unix))]
fn leave_on_signals<R: Runtime>(_app: AppHandle<R>) {}

fn start_log(preset: &Preset) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match &preset.log_file {
        None => log.with_writer(std::io::stderr).init(),
        Some(path) => {
            let file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("the log {} cannot be written", path.display()))?;
            log.with_ansi(false).with_writer(Arc::new(file)).init();
        }
    }
    Ok(())
}
