//! Server, Asterisk, pocket PBX and app are restarted in every order, by TERM and by KILL: the seed's flows work after
//! each without anybody's help.

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
    Asterisk,
    App,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Term,
    Kill,
}

#[tokio::test]
async fn the_server_first() {
    let mut house = House::open().await;
    use {How::*, Who::*};
    house
        .restart([(Server, Kill), (Asterisk, Term), (App, Kill)])
        .await;
    house
        .restart([(Server, Term), (App, Kill), (Asterisk, Kill)])
        .await;
}

#[tokio::test]
async fn asterisk_first() {
    let mut house = House::open().await;
    use {How::*, Who::*};
    house
        .restart([(Asterisk, Kill), (Server, Term), (App, Term)])
        .await;
    house
        .restart([(Asterisk, Term), (App, Kill), (Server, Kill)])
        .await;
}

#[tokio::test]
async fn the_app_first() {
    let mut house = House::open().await;
    use {How::*, Who::*};
    house
        .restart([(App, Kill), (Server, Kill), (Asterisk, Term)])
        .await;
    house
        .restart([(App, Term), (Asterisk, Kill), (Server, Term)])
        .await;
}

#[tokio::test]
async fn server_and_asterisk_down_together_come_back_in_either_order() {
    let mut house = House::open().await;
    let epoch = house.scene.board.epoch();
    house.scene.server.kill();
    house.scene.asterisk.kill();
    house.scene.asterisk.boot().await;
    house.scene.server.serve().await;
    house.is_right_again(epoch).await;
    let epoch = house.scene.board.epoch();
    house.scene.asterisk.stop().await;
    house.scene.server.stop().await;
    house.scene.server.serve().await;
    house.scene.asterisk.boot().await;
    house.is_right_again(epoch).await;
    house.the_seeds_flows_work().await;
}

#[tokio::test]
async fn the_pocket_pbx_in_asterisks_place_forgets_its_contacts_and_nobody_has_to_help() {
    let mut pbx = PocketPbx::start(Settings::default()).await;
    let mut server = Server::start(&pbx).await;
    let board = server.board(SUPERVISOR).await;
    let person = Agent::new("1001");
    let mut app = person.start(&server);
    board.shows("1001", "Available", PROMPTLY).await;
    let again = async |pbx: &mut PocketPbx, how: How| {
        end_pbx(pbx, how).await;
        board.shows("1001", "Unknown", PROMPTLY).await;
        pbx.boot().await;
        board.shows("1001", "Available", RIGHT_AGAIN).await;
    };
    again(&mut pbx, How::Kill).await;
    again(&mut pbx, How::Term).await;
    let epoch = board.epoch();
    end_pbx(&mut pbx, How::Kill).await;
    server.kill();
    app.kill();
    pbx.boot().await;
    server.serve().await;
    let mut app = person.start(&server);
    of_another_epoch(&board, epoch).await;
    board.shows("1001", "Available", RIGHT_AGAIN).await;
    assert!(app.terminate().await.success());
    board.shows("1001", "Offline", PROMPTLY).await;
}

/// What the board said before the server's restart counts no more.
async fn of_another_epoch(board: &Board, before: Option<String>) {
    eventually("a snapshot of another epoch", RIGHT_AGAIN, async || {
        let epoch = board.epoch();
        if epoch == before {
            Err(format!("{epoch:?}"))
        } else {
            Ok(())
        }
    })
    .await;
}

async fn end_pbx(pbx: &mut PocketPbx, how: How) {
    match how {
        How::Term => pbx.stop().await,
        How::Kill => pbx.kill(),
    }
}

/// Everybody, and an agent who stays signed in through it all.
struct House {
    app: Program,
    person: Agent,
    scene: Scene,
}

impl House {
    async fn open() -> House {
        let scene = Scene::start(Mode::Mirror).await;
        let person = Agent::new("1001");
        let app = person.start(&scene.server);
        scene.board.shows("1001", "Available", PROMPTLY).await;
        House { app, person, scene }
    }

    /// One after the other, waiting for nobody to recover in between.
    async fn restart(&mut self, order: [(Who, How); 3]) {
        let epoch = self.scene.board.epoch();
        for (who, how) in order {
            match (who, how) {
                (Who::Server, How::Term) => self.scene.server.stop().await,
                (Who::Server, How::Kill) => self.scene.server.kill(),
                (Who::Asterisk, How::Term) => self.scene.asterisk.stop().await,
                (Who::Asterisk, How::Kill) => self.scene.asterisk.kill(),
                // Its sign-out may find somebody away: then it says so, and ends all the same.
                (Who::App, How::Term) => drop(self.app.terminate().await),
                (Who::App, How::Kill) => self.app.kill(),
            }
            match who {
                Who::Server => self.scene.server.serve().await,
                Who::Asterisk => self.scene.asterisk.boot().await,
                Who::App => self.app = self.person.start(&self.scene.server),
            }
        }
        self.is_right_again(epoch).await;
        self.the_seeds_flows_work().await;
    }

    /// The agent who was signed in is Available, and every view says so.
    async fn is_right_again(&self, epoch: Option<String>) {
        of_another_epoch(&self.scene.board, epoch).await;
        self.scene
            .board
            .shows("1001", "Available", RIGHT_AGAIN)
            .await;
        self.scene.all_say_available("1001").await;
    }

    /// Somebody else signs in and out, and every view says so.
    async fn the_seeds_flows_work(&self) {
        let mut other = self.scene.signed_in("1002").await;
        self.scene.all_say_available("1002").await;
        assert!(other.terminate().await.success());
        self.scene.all_say_offline("1002").await;
    }
}
