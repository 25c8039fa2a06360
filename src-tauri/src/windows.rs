//! The windows: made by code, told of every change, closed in order.

use std::{sync::Arc, time::Duration};

use rollcall_agent::AgentState;
use rollcall_wire::ui::events;
use tauri::{
    AppHandle, Emitter, Manager, Runtime, UserAttentionType, WebviewUrl, WebviewWindow,
    WebviewWindowBuilder, WindowEvent,
};

use crate::{controller, desk::Desk};

/// The phone window's label.
pub const PHONE: &str = "phone";
/// The dashboard window's label.
pub const DASHBOARD: &str = "dashboard";

/// Between two views of a window: twenty a second are more than anybody reads.
const BETWEEN_VIEWS: Duration = Duration::from_millis(50);

/// Opens the phone window. Closing it ends the program, after a sign-out.
pub fn open_phone<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let window = WebviewWindowBuilder::new(app, PHONE, WebviewUrl::default())
        .title("Rollcall")
        .inner_size(380.0, 680.0)
        .min_inner_size(340.0, 560.0)
        .build()?;
    let app = app.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            api.prevent_close();
            leave(&app);
        }
    });
    Ok(())
}

/// Opens the dashboard window, or brings it to the front.
pub fn open_dashboard<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    if let Some(window) = app.get_webview_window(DASHBOARD) {
        window.unminimize()?;
        window.show()?;
        return window.set_focus();
    }
    WebviewWindowBuilder::new(app, DASHBOARD, WebviewUrl::default())
        .title("Rollcall board")
        .inner_size(960.0, 640.0)
        .min_inner_size(560.0, 400.0)
        .build()
        .map(drop)
}

/// Brings the phone to the front.
pub fn show_phone<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let Some(window) = app.get_webview_window(PHONE) else {
        return Ok(());
    };
    window.unminimize()?;
    window.show()?;
    window.set_focus()
}

/// Signs out, then ends the program. A second call changes nothing.
pub fn leave<R: Runtime>(app: &AppHandle<R>) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let desk = Arc::clone(&app.state::<Arc<Desk>>());
        if desk.leave().await {
            app.exit(0);
        }
    });
}

/// Sends each window its view whenever it changes, until the program ends.
pub async fn keep_informed<R: Runtime>(app: AppHandle<R>, desk: Arc<Desk>) {
    let mut state = desk.agent().state();
    let mut facts = desk.facts();
    let mut before: AgentState = state.borrow_and_update().clone();
    let mut phone = None;
    let mut dashboard = None;
    loop {
        let now = state.borrow_and_update().clone();
        let known = facts.borrow_and_update().clone();
        if controller::somebody_began_to_call(&before, &now) {
            call_for_attention(&app);
        }
        let view = controller::phone_view(&now, &known);
        if phone.as_ref() != Some(&view) {
            emit(&app, PHONE, events::PHONE_VIEW, &view);
            phone = Some(view);
        }
        let view = controller::dashboard_view(&now);
        if dashboard.as_ref() != Some(&view) {
            emit(&app, DASHBOARD, events::DASHBOARD_VIEW, &view);
            dashboard = Some(view);
        }
        before = now;
        tokio::time::sleep(BETWEEN_VIEWS).await;
        let more = tokio::select! {
            changed = state.changed() => changed,
            changed = facts.changed() => changed,
        };
        if more.is_err() {
            return;
        }
    }
}

fn emit<R: Runtime, V: serde::Serialize + Clone>(
    app: &AppHandle<R>,
    window: &str,
    event: &str,
    view: &V,
) {
    if let Err(error) = app.emit_to(window, event, view.clone()) {
        tracing::warn!(%error, window, "a view did not reach its window");
    }
}

fn call_for_attention<R: Runtime>(app: &AppHandle<R>) {
    let attention =
        |window: WebviewWindow<R>| window.request_user_attention(Some(UserAttentionType::Critical));
    let shown =
        show_phone(app).and_then(|()| app.get_webview_window(PHONE).map_or(Ok(()), attention));
    if let Err(error) = shown {
        tracing::warn!(%error, "the phone window could not be brought to the front");
    }
}
