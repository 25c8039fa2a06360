//! What the pages may ask. Each command forwards; the capabilities say which window may ask which,
//! and each command looks at its window once more.

use std::sync::Arc;

use rollcall_agent::{Pause, Question, When};
use rollcall_wire::{
    explain::{Available, Explanation},
    http::ErrorBody,
    ui::{DashboardView, PhoneView, SignIn},
};
use tauri::{AppHandle, Runtime, State, WebviewWindow};

use crate::{
    desk::Desk,
    windows::{self, DASHBOARD, PHONE},
};

type Answer<T = ()> = Result<T, ErrorBody>;

/// The phone window's view, asked once when it has loaded.
#[tauri::command]
pub async fn phone_view<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<PhoneView> {
    only(&window, PHONE)?;
    Ok(desk.phone_view())
}

/// The dashboard's view.
#[tauri::command]
pub async fn dashboard_view<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<DashboardView> {
    only(&window, DASHBOARD)?;
    Ok(desk.dashboard_view())
}

/// Signs in.
#[tauri::command]
pub async fn sign_in<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    request: SignIn,
) -> Answer {
    only(&window, PHONE)?;
    desk.sign_in(request).await
}

/// Gives up a sign-in.
#[tauri::command]
pub async fn cancel_sign_in<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().cancel_sign_in().await
}

/// Signs out; a call that is going on may end first.
#[tauri::command]
pub async fn sign_out<R: Runtime>(window: WebviewWindow<R>, desk: State<'_, Arc<Desk>>) -> Answer {
    only(&window, PHONE)?;
    desk.agent().sign_out(When::AfterCalls).await.map(drop)
}

/// Starts server and pocket PBX in this process.
#[tauri::command]
pub async fn try_here<R: Runtime>(window: WebviewWindow<R>, desk: State<'_, Arc<Desk>>) -> Answer {
    only(&window, PHONE)?;
    desk.try_here().await
}

/// Calls somebody.
#[tauri::command]
pub async fn dial<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    target: String,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().dial(target).await
}

/// Takes a call.
#[tauri::command]
pub async fn answer<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    call: u32,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().answer(call).await
}

/// Refuses a call.
#[tauri::command]
pub async fn decline<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    call: u32,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().decline(call).await
}

/// Ends a call.
#[tauri::command]
pub async fn hang_up<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    call: u32,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().hang_up(call).await
}

/// Whether a call may be handed on to somebody now.
#[tauri::command]
pub async fn prove<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    extension: String,
) -> Answer<Available> {
    only(&window, PHONE)?;
    desk.agent().prove(extension).await
}

/// Hands a call on.
#[tauri::command]
pub async fn transfer<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    call: u32,
    target: String,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().transfer(call, target).await
}

/// Mutes or unmutes the microphone.
#[tauri::command]
pub async fn set_muted<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    muted: bool,
) -> Answer {
    only(&window, PHONE)?;
    desk.agent().set_muted(muted).await
}

/// Opens the dashboard, or brings it to the front.
#[tauri::command]
pub async fn open_dashboard<R: Runtime>(window: WebviewWindow<R>, app: AppHandle<R>) -> Answer {
    only(&window, PHONE)?;
    windows::open_dashboard(&app).map_err(|error| ErrorBody {
        code: "no_window".to_owned(),
        message: format!("The dashboard could not be opened: {error}."),
        field: None,
        next: Some("Close other windows, and try again.".to_owned()),
    })
}

/// Ends the session of the device that stands in the way, and goes online here.
#[tauri::command]
pub async fn take_over<R: Runtime>(window: WebviewWindow<R>, desk: State<'_, Arc<Desk>>) -> Answer {
    only(&window, PHONE)?;
    desk.agent().take_over().await
}

/// Why an agent's state is what it is, or was at a past time.
#[tauri::command]
pub async fn explain<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    extension: String,
    at: Option<u64>,
) -> Answer<Explanation> {
    only(&window, DASHBOARD)?;
    desk.agent().explain(Question { extension, at }).await
}

/// Pauses an agent, or ends the pause.
#[tauri::command]
pub async fn pause<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
    extension: String,
    reason: Option<String>,
) -> Answer {
    if window.label() != DASHBOARD {
        only(&window, PHONE)?;
    }
    desk.agent().pause(Pause { extension, reason }).await
}

fn only<R: Runtime>(window: &WebviewWindow<R>, label: &str) -> Answer {
    if window.label() == label {
        return Ok(());
    }
    Err(ErrorBody {
        code: "not_this_window".to_owned(),
        message: format!("The {} window may not ask this.", window.label()),
        field: None,
        next: None,
    })
}
