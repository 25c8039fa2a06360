//! A display of its own (Xvfb), and a person in front of it: looks for windows, types, closes them.
//!
//! What WebDriver cannot do, because the program that is driven was started by somebody else.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat, InputFocus,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::program::Program;
use crate::waiting::eventually;

/// An X server on a busy machine takes its time over its start, and a program over its first window.
const OPENING: Duration = Duration::from_secs(60);

/// A page with text on it has more colours than this, by the text's smooth edges; an empty one has one or two.
const DRAWN: usize = 16;

/// Keys that have no character of their own, as X numbers them (keysymdef.h).
const TAB: u32 = 0xff09;
const RETURN: u32 = 0xff0d;

/// An X server.
#[derive(Debug)]
pub struct Display {
    _server: Program,
    name: String,
}

type Answer<T> = Result<T, Box<dyn std::error::Error>>;

impl Display {
    /// An X server that chooses its own number and says it.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start() -> Display {
        let arguments = [
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1600x1200x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ];
        let server = Program::start(Path::new("Xvfb"), arguments, &[]);
        let number = eventually("Xvfb has a display", OPENING, async || {
            server
                .lines()
                .first()
                .cloned()
                .ok_or_else(|| format!("{server:?}"))
        })
        .await;
        Display {
            _server: server,
            name: format!(":{}", number.trim()),
        }
    }

    /// What goes into `DISPLAY`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until a window of this title is shown and has drawn its page, and puts the keyboard's focus on it.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub async fn look_at(&self, title: &str) {
        eventually(&format!("a window called {title}"), OPENING, async || {
            let screen = self.connect();
            let window = screen.window(title).map_err(|error| error.to_string())?;
            let shades = screen.shades(window).map_err(|error| error.to_string())?;
            if shades < DRAWN {
                return Err(format!("it has drawn only {shades} colours"));
            }
            screen.focus(window).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Types `text` (letters in lower case, digits, `-`), a tab for `\t` and Return for `\n`.
    ///
    /// # Panics
    ///
    /// If the keyboard has no such key.
    pub fn types(&self, text: &str) {
        let screen = self.connect();
        screen
            .types(text)
            .unwrap_or_else(|error| panic!("typing {text:?}: {error}"));
    }

    /// Asks the window of this title to close, as its frame's close button does.
    ///
    /// # Panics
    ///
    /// If there is no such window.
    pub fn closes(&self, title: &str) {
        let screen = self.connect();
        let closed = screen.window(title).and_then(|window| screen.close(window));
        closed.unwrap_or_else(|error| panic!("closing {title}: {error}"));
    }

    fn connect(&self) -> Screen {
        let (connection, number) = RustConnection::connect(Some(&self.name))
            .unwrap_or_else(|error| panic!("display {}: {error}", self.name));
        let root = connection.setup().roots[number].root;
        Screen { connection, root }
    }
}

/// A connection to the display.
struct Screen {
    connection: RustConnection,
    root: Window,
}

impl Screen {
    /// The window of this title that a person sees.
    fn window(&self, title: &str) -> Answer<Window> {
        let name = self.atom("_NET_WM_NAME")?;
        let mut waiting = vec![self.root];
        let mut seen = Vec::new();
        while let Some(window) = waiting.pop() {
            let property = self
                .connection
                .get_property(false, window, name, AtomEnum::ANY, 0, 256)?
                .reply()?;
            let found = String::from_utf8_lossy(&property.value).into_owned();
            let attributes = self.connection.get_window_attributes(window)?.reply()?;
            if found == title && attributes.map_state == MapState::VIEWABLE {
                return Ok(window);
            }
            if !found.is_empty() {
                seen.push(found);
            }
            waiting.extend(self.connection.query_tree(window)?.reply()?.children);
        }
        Err(format!("no window called {title:?} is shown; there are {seen:?}").into())
    }

    fn focus(&self, window: Window) -> Answer<()> {
        self.connection
            .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?
            .check()?;
        Ok(())
    }

    /// How many colours the window shows.
    fn shades(&self, window: Window) -> Answer<usize> {
        let size = self.connection.get_geometry(window)?.reply()?;
        let image = self
            .connection
            .get_image(
                ImageFormat::Z_PIXMAP,
                window,
                0,
                0,
                size.width,
                size.height,
                u32::MAX,
            )?
            .reply()?;
        let pixels: HashSet<&[u8]> = image.data.chunks(4).collect();
        Ok(pixels.len())
    }

    fn types(&self, text: &str) -> Answer<()> {
        for character in text.chars() {
            let symbol = match character {
                '\t' => TAB,
                '\n' => RETURN,
                // Latin-1 characters are their own key symbols.
                other => u32::from(other),
            };
            let key = self.key(symbol)?;
            for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
                self.connection
                    .xtest_fake_input(kind, key, x11rb::CURRENT_TIME, self.root, 0, 0, 0)?
                    .check()?;
            }
        }
        Ok(())
    }

    /// The key that writes `symbol` when nothing else is held down.
    fn key(&self, symbol: u32) -> Answer<u8> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping = self
            .connection
            .get_keyboard_mapping(first, last - first + 1)?
            .reply()?;
        let keys = mapping
            .keysyms
            .chunks(usize::from(mapping.keysyms_per_keycode));
        let found = (first..=last)
            .zip(keys)
            .find(|(_, symbols)| symbols.first() == Some(&symbol));
        found
            .map(|(key, _)| key)
            .ok_or_else(|| format!("no key for symbol {symbol:#x}").into())
    }

    fn close(&self, window: Window) -> Answer<()> {
        let protocols = self.atom("WM_PROTOCOLS")?;
        let delete = self.atom("WM_DELETE_WINDOW")?;
        let event = ClientMessageEvent::new(
            32,
            window,
            protocols,
            [delete, x11rb::CURRENT_TIME, 0, 0, 0],
        );
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, event)?
            .check()?;
        Ok(())
    }

    fn atom(&self, name: &str) -> Answer<u32> {
        let reply = self.connection.intern_atom(false, name.as_bytes())?;
        Ok(reply.reply()?.atom)
    }
}
