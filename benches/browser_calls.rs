//! Calls to a browser that is there: the round trip through the server's broker beside the bare wires, and pictures.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Door, Plain};
use cloister_benches::browser::{Browser, DEFAULT};
use cloister_benches::cdp::{Cdp, Page};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const BROKER: &str = "cloister's stream";
/// What the broker may add to the bare pipe.
const OVERHEAD: Duration = Duration::from_micros(100);

/// One kind of call.
struct Block {
    title: &'static str,
    samples: usize,
    call: fn(&mut Cdp, &Page) -> Result<(), Failure>,
}

const EVALUATE: Block = Block { title: "evaluate", samples: 5000, call: Cdp::evaluate };
const PICTURE: Block = Block { title: "screenshot", samples: 200, call: Cdp::screenshot };

impl Block {
    fn row(&self, who: &str) -> String {
        format!("{}: {who}", self.title)
    }

    fn case(&self, run: &mut Run, who: &str, cdp: &mut Cdp, page: &Page) -> Result<(), Failure> {
        let (name, against) = (&self.row(who), &self.row(BROKER));
        run.case(Case { name, against, samples: self.samples }, || {
            let begun = Instant::now();
            (self.call)(cdp, page)?;
            Ok(begun.elapsed())
        })
    }
}

fn main() -> ExitCode {
    Run::bench("browser_calls", |run| {
        for block in [&EVALUATE, &PICTURE] {
            ours(run, block)?;
            for door in [Door::Pipe, Door::Port] {
                plain(run, block, door)?;
            }
        }
        let p50 = |who| run.report.samples(&EVALUATE.row(who)).map(|s| s.p50());
        if let (Some(broker), Some(pipe)) = (p50(BROKER), p50(Door::Pipe.name())) {
            let what = "what the broker adds to a round trip over the debugging pipe, p50";
            run.report.aim_time(what, OVERHEAD, broker.saturating_sub(pipe));
        }
        Ok(String::new())
    })
}

fn ours(run: &mut Run, block: &Block) -> Result<(), Failure> {
    let server = Server::for_browsers(false)?;
    let mut client = server.client()?;
    let (mut browser, page) = Browser::with_page(&server, &mut client, DEFAULT)?;
    let measured = block.case(run, BROKER, &mut browser.cdp, &page);
    drop(browser.cdp);
    client.stop(&browser.session)?;
    measured
}

fn plain(run: &mut Run, block: &Block, door: Door) -> Result<(), Failure> {
    match door.tried() {
        Ok(door) => {
            let (mut plain, _) = Plain::start(door)?;
            let page = plain.cdp.first_page()?;
            plain.cdp.fill(&page)?;
            block.case(run, door.name(), &mut plain.cdp, &page)
        }
        Err(why) => {
            let (name, against) = (&block.row(door.name()), &block.row(BROKER));
            run.try_case(Case { name, against, samples: block.samples }, Err(why), |()| Ok(Duration::ZERO))
        }
    }
}
