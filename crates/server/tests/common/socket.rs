//! Socket.IO as any client speaks it: frames by hand.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// A connection that has said nothing yet.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(house: &super::House, authorization: Option<String>) -> Self {
        let url = house.url("/socket.io/?EIO=4&transport=websocket");
        let url = url.replacen("http", "ws", 1);
        let mut request = url.into_client_request().unwrap();
        if let Some(value) = authorization {
            let value = value.parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let mut socket = Self(connect_async(request).await.unwrap().0);
        assert!(socket.hear().await.starts_with('0'));
        socket
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next packet that is no ping; `closed` at the end.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let message = tokio::time::timeout(super::PATIENCE, self.0.next());
            match message.await.expect("a packet in time") {
                Some(Ok(Message::Text(text))) if text == "2" => self.say("3").await,
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return "closed".into(),
                Some(Ok(_)) => {}
            }
        }
    }

    /// It is closed by the server, which may say so before.
    pub(crate) async fn ends(&mut self) {
        let mut heard = self.hear().await;
        if matches!(heard.as_str(), "1" | "41") {
            heard = self.hear().await;
        }
        assert_eq!(heard, "closed");
    }

    pub(crate) async fn event(&mut self) -> (String, Value) {
        let text = self.hear().await;
        let Some(text) = text.strip_prefix("42") else {
            panic!("an event was awaited: {text}");
        };
        let values: Vec<Value> = serde_json::from_str(text).unwrap();
        (values[0].as_str().unwrap().to_owned(), values[1].clone())
    }
}
