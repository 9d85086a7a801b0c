//! From nothing to a browser that takes calls, and to its first picture.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Door, Plain, Playwright, Tried, tried};
use cloister_benches::browser::{Browser, cold, warm};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use std::process::ExitCode;
use std::time::Duration;

/// One block of the table: what the clock stops at.
struct Block {
    title: &'static str,
    picture: bool,
}

const READY: Block = Block { title: "ready", picture: false };
const PICTURE: Block = Block { title: "first picture", picture: true };

impl Block {
    fn row(&self, who: &str) -> String {
        format!("{}: {who}", self.title)
    }

    fn warm(&self) -> String {
        self.row("cloister, pool")
    }

    fn cold(&self) -> String {
        self.row("cloister, from scratch")
    }

    /// What is left to do when the browser has answered.
    fn finish(&self, browser: &mut Browser) -> Result<(), Failure> {
        if self.picture {
            let page = browser.cdp.first_page()?;
            browser.cdp.screenshot(&page)?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    Run::bench("browser_start", |run| {
        for block in [&READY, &PICTURE] {
            ours(run, block)?;
            plain(run, block)?;
            playwright(run, block, tried(Playwright::new())?)?;
        }
        aims(run);
        Ok(String::new())
    })
}

fn ours(run: &mut Run, block: &Block) -> Result<(), Failure> {
    let (against, name) = (&block.warm(), &block.cold());
    {
        let server = Server::for_browsers(true)?;
        let mut client = server.client()?;
        run.case(Case { name: against, against, samples: 100 }, || {
            warm(&server, &mut client, |browser| block.finish(browser))
        })?;
    }
    let server = Server::for_browsers(false)?;
    let mut client = server.client()?;
    run.case(Case { name, against, samples: 100 }, || {
        cold(&server, &mut client, |browser| block.finish(browser))
    })
}

fn plain(run: &mut Run, block: &Block) -> Result<(), Failure> {
    let (name, against) = (&block.row(Door::Port.name()), &block.warm());
    run.try_case(Case { name, against, samples: 50 }, Door::Port.tried(), |door| {
        let (mut plain, begun) = Plain::start(*door)?;
        plain.cdp.version()?;
        if block.picture {
            let page = plain.cdp.first_page()?;
            plain.cdp.screenshot(&page)?;
        }
        Ok(begun.elapsed())
    })
}

fn playwright(run: &mut Run, block: &Block, made: Tried<Playwright>) -> Result<(), Failure> {
    let (name, against) = (&block.row(Playwright::NAME), &block.warm());
    let observe = if block.picture { Playwright::screenshot } else { Playwright::launch };
    run.try_case(Case { name, against, samples: 50 }, made, observe)
}

fn aims(run: &mut Run) {
    for (row, what, aim) in [
        (READY.warm(), "start of a browser session → it takes CDP calls, from the pool, p50", 15),
        (READY.cold(), "start of a browser session → it takes CDP calls, from scratch, p50", 120),
    ] {
        if let Some(p50) = run.report.samples(&row).map(|s| s.p50()) {
            run.report.aim_time(what, Duration::from_millis(aim), p50);
        }
    }
}
