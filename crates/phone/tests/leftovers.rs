//! What calls leave behind in the engines that had them.

#![cfg(target_os = "linux")]

mod common;

use common::{Exchange, Phone, config};
use rollcall_phone::{AudioChoice, EngineConfig, PhoneCommand, PhoneEvent};

const CALLS: usize = 25;

#[tokio::test]
async fn calls_leave_neither_a_task_nor_a_socket_behind() {
    let exchange = Exchange::start();
    let answering = EngineConfig {
        auto_answer: true,
        ..config(AudioChoice::None)
    };
    let mut callee = Phone::registered("1002", &exchange, answering).await;
    let mut caller = Phone::registered("1001", &exchange, config(AudioChoice::None)).await;
    let before = [tasks(&mut caller).await, tasks(&mut callee).await];
    let sockets_before = sockets();
    for _ in 0..CALLS {
        let call = caller.dial("1002");
        caller.answered().await;
        callee.answered().await;
        assert!(sockets() > sockets_before, "a call has sockets");
        caller.engine.send(PhoneCommand::Hangup(call));
        caller.ended().await;
        callee.ended().await;
    }
    for (phone, before) in [&mut caller, &mut callee].into_iter().zip(before) {
        phone
            .expect(|event| match event {
                PhoneEvent::Vitals(vitals) => {
                    let at_rest = vitals.calls == 0 && vitals.tasks <= before;
                    (at_rest && sockets() <= sockets_before).then_some(())
                }
                _ => None,
            })
            .await;
    }
}

/// Tasks that live in the engine.
async fn tasks(phone: &mut Phone) -> usize {
    let alive = |event: &PhoneEvent| match event {
        PhoneEvent::Vitals(vitals) => Some(vitals.tasks),
        _ => None,
    };
    phone.expect(alive).await
}

/// Sockets of this process.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let targets = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
