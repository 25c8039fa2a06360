//! Server, registrar (Asterisk, or the pocket PBX in its place) and app are restarted in every order, by TERM and by
//! KILL: the seed's flows work after each without anybody's help.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::scene::{Mode, Scene};
use rollcall_e2e::server::SUPERVISOR;
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Board, PocketPbx, Program, Server, eventually};

/// A boot, the server's back-off, its grace, the phone's retries; and a busy machine.
const RIGHT_AGAIN: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Server,
    Registrar,
    App,
}
use Who::{App, Registrar, Server as TheServer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Term,
    Kill,
}

const ORDERS: [[Who; 3]; 6] = [
    [TheServer, Registrar, App],
    [TheServer, App, Registrar],
    [Registrar, TheServer, App],
    [Registrar, App, TheServer],
    [App, TheServer, Registrar],
    [App, Registrar, TheServer],
];

#[tokio::test]
async fn beside_asterisk_every_order_by_term() {
    let house = House::open(Place::beside_asterisk().await).await;
    house.restart_in_every_order(|_| How::Term).await;
}

#[tokio::test]
async fn beside_asterisk_every_order_by_kill() {
    let house = House::open(Place::beside_asterisk().await).await;
    house.restart_in_every_order(|_| How::Kill).await;
}

#[tokio::test]
async fn beside_the_pocket_pbx_every_order_by_term() {
    let house = House::open(Place::beside_the_pocket_pbx().await).await;
    house.restart_in_every_order(|_| How::Term).await;
}

#[tokio::test]
async fn beside_the_pocket_pbx_every_order_by_kill() {
    let house = House::open(Place::beside_the_pocket_pbx().await).await;
    house.restart_in_every_order(|_| How::Kill).await;
}

#[tokio::test]
async fn one_killed_while_the_others_end_in_peace() {
    let mut house = House::open(Place::beside_the_pocket_pbx().await).await;
    for killed in [TheServer, Registrar, App] {
        let how = |who| if who == killed { How::Kill } else { How::Term };
        house.restart([Registrar, TheServer, App], how).await;
    }
}

#[tokio::test]
async fn server_and_registrar_down_together_come_back_in_either_order() {
    let mut house = House::open(Place::beside_asterisk().await).await;
    for (how, back) in [
        (How::Kill, [Registrar, TheServer]),
        (How::Term, [TheServer, Registrar]),
    ] {
        let epoch = house.place.board().epoch();
        for who in [TheServer, Registrar] {
            house.end(who, how).await;
        }
        for who in back {
            house.begin(who).await;
        }
        house.is_right_again(epoch).await;
    }
    house.the_seeds_flows_work().await;
}

#[tokio::test]
async fn a_registrar_that_forgets_its_contacts_is_told_again_without_anybodys_help() {
    let mut house = House::open(Place::beside_the_pocket_pbx().await).await;
    for how in [How::Kill, How::Term] {
        house.end(Registrar, how).await;
        house.place.board().shows("1001", "Unknown", PROMPTLY).await;
        house.begin(Registrar).await;
        let board = house.place.board();
        board.shows("1001", "Available", RIGHT_AGAIN).await;
    }
}

/// What the app stands beside.
enum Place {
    Asterisk(Box<Scene>),
    Pocket(Box<Pocket>),
}

/// The pocket PBX, the server, and the supervisor's board.
struct Pocket {
    board: Board,
    server: Server,
    pbx: PocketPbx,
}

impl Place {
    async fn beside_asterisk() -> Place {
        Place::Asterisk(Box::new(Scene::start(Mode::Mirror).await))
    }

    async fn beside_the_pocket_pbx() -> Place {
        let pbx = PocketPbx::start(Settings::default()).await;
        let server = Server::start(&pbx).await;
        let board = server.board(SUPERVISOR).await;
        Place::Pocket(Box::new(Pocket { board, server, pbx }))
    }

    fn board(&self) -> &Board {
        match self {
            Place::Asterisk(scene) => &scene.board,
            Place::Pocket(pocket) => &pocket.board,
        }
    }

    fn server(&self) -> &Server {
        match self {
            Place::Asterisk(scene) => &scene.server,
            Place::Pocket(pocket) => &pocket.server,
        }
    }

    fn server_mut(&mut self) -> &mut Server {
        match self {
            Place::Asterisk(scene) => &mut scene.server,
            Place::Pocket(pocket) => &mut pocket.server,
        }
    }

    async fn end_registrar(&mut self, how: How) {
        match (self, how) {
            (Place::Asterisk(scene), How::Term) => scene.asterisk.stop().await,
            (Place::Asterisk(scene), How::Kill) => scene.asterisk.kill(),
            (Place::Pocket(pocket), How::Term) => pocket.pbx.stop().await,
            (Place::Pocket(pocket), How::Kill) => pocket.pbx.kill(),
        }
    }

    async fn begin_registrar(&mut self) {
        match self {
            Place::Asterisk(scene) => scene.asterisk.boot().await,
            Place::Pocket(pocket) => pocket.pbx.boot().await,
        }
    }

    /// The registrar where it can be asked, the tables and the board.
    async fn all_say_available(&self, extension: &str) {
        match self {
            Place::Asterisk(scene) => scene.all_say_available(extension).await,
            Place::Pocket(_) => self.tables_say(extension, "Reachable", true).await,
        }
    }

    async fn all_say_offline(&self, extension: &str) {
        match self {
            Place::Asterisk(scene) => scene.all_say_offline(extension).await,
            Place::Pocket(_) => self.tables_say(extension, "Expired", false).await,
        }
    }

    /// A contact of this status, and (when offline) none of another; the user's two columns; the board.
    async fn tables_say(&self, extension: &str, status: &str, signed_in: bool) {
        let board = if signed_in { "Available" } else { "Offline" };
        self.board().shows(extension, board, RIGHT_AGAIN).await;
        let what = format!("the tables say {status} of {extension}");
        eventually(&what, PROMPTLY, async || {
            let rows = self.server().rows(extension).await;
            let of_it = rows.contacts.iter().filter(|(_, found)| found == status);
            let found = of_it.count();
            let others = rows.contacts.len() - found;
            let right = found > 0 && (signed_in || others == 0);
            if right && rows.user == (signed_in, signed_in) {
                Ok(())
            } else {
                Err(format!("{rows:?}"))
            }
        })
        .await;
    }
}

/// Everybody, and an agent who stays signed in through it all.
struct House {
    app: Program,
    person: Agent,
    place: Place,
}

impl House {
    async fn open(place: Place) -> House {
        let person = Agent::new("1001");
        let app = person.start(place.server());
        place.board().shows("1001", "Available", PROMPTLY).await;
        House { app, person, place }
    }

    async fn restart_in_every_order(mut self, how: impl Fn(Who) -> How) {
        for order in ORDERS {
            self.restart(order, &how).await;
        }
    }

    /// One after the other, waiting for nobody to recover in between.
    async fn restart(&mut self, order: [Who; 3], how: impl Fn(Who) -> How) {
        let epoch = self.place.board().epoch();
        for who in order {
            self.end(who, how(who)).await;
            self.begin(who).await;
        }
        self.is_right_again(epoch).await;
        self.the_seeds_flows_work().await;
    }

    async fn end(&mut self, who: Who, how: How) {
        match (who, how) {
            (TheServer, How::Term) => self.place.server_mut().stop().await,
            (TheServer, How::Kill) => self.place.server_mut().kill(),
            (Registrar, how) => self.place.end_registrar(how).await,
            // Its sign-out may find somebody away: then it says so, and ends all the same.
            (App, How::Term) => drop(self.app.terminate().await),
            (App, How::Kill) => self.app.kill(),
        }
    }

    async fn begin(&mut self, who: Who) {
        match who {
            TheServer => self.place.server_mut().serve().await,
            Registrar => self.place.begin_registrar().await,
            App => self.app = self.person.start(self.place.server()),
        }
    }

    /// The agent who was signed in is Available, and every view says so; what the board said before the server's restart
    /// counts no more.
    async fn is_right_again(&self, before: Option<String>) {
        let board = self.place.board();
        eventually("a snapshot of another epoch", RIGHT_AGAIN, async || {
            let epoch = board.epoch();
            if epoch == before {
                Err(format!("{epoch:?}"))
            } else {
                Ok(())
            }
        })
        .await;
        board.shows("1001", "Available", RIGHT_AGAIN).await;
        self.place.all_say_available("1001").await;
    }

    /// Somebody else signs in and out, and every view says so.
    async fn the_seeds_flows_work(&self) {
        let mut other = Agent::new("1002").start(self.place.server());
        self.place
            .board()
            .shows("1002", "Available", PROMPTLY)
            .await;
        self.place.all_say_available("1002").await;
        assert!(other.terminate().await.success());
        self.place.all_say_offline("1002").await;
    }
}
