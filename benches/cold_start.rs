//! From nothing to the first result: a session of this server, and a fresh process of what a user would pick instead.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Jupyter, Named, spawned, tried};
use cloister_benches::client::{DEFAULT, STRICT};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::{PANDAS, PRINT, Work};
use std::process::ExitCode;
use std::time::Duration;

/// Ready sandboxes of the server, its default.
const POOL: usize = 8;

/// One block of the table: every way of starting does the same work.
struct Block {
    title: &'static str,
    work: Work,
}

impl Block {
    fn row(&self, who: &str) -> String {
        format!("{}: {who}", self.title)
    }

    fn pool(&self) -> String {
        self.row("cloister, pool")
    }

    fn zygote(&self) -> String {
        self.row("cloister, zygote (pool empty)")
    }
}

fn main() -> ExitCode {
    Run::bench("cold_start", |run| {
        let commands = spawned()?;
        let pandas = Block { title: "pandas", work: PANDAS };
        let print = Block { title: "print", work: PRINT };
        for block in [&pandas, &print] {
            ours(run, block)?;
            alternatives(run, block, &commands)?;
        }
        aims(run, &pandas);
        Ok(String::new())
    })
}

fn ours(run: &mut Run, block: &Block) -> Result<(), Failure> {
    let (name, against) = (&block.pool(), &block.pool());
    {
        let server = Server::start(POOL)?;
        let mut client = server.client()?;
        run.case(Case { name, against, samples: 200 }, || {
            // The pool is full and nothing is being refilled: what a client meets that does not come in a crowd (see `burst`).
            server.settle(0)?;
            client.first_result(DEFAULT, block.work)
        })?;
    }
    let server = Server::start(0)?;
    let mut client = server.client()?;
    for (name, interpreter, origin, samples) in [
        (block.zygote(), DEFAULT, "zygote", 100),
        (block.row("cloister, from scratch (policy strict)"), STRICT, "exec", 40),
    ] {
        client.check_origin(interpreter, origin)?;
        run.case(Case { name: &name, against, samples }, || {
            server.settle(0)?;
            client.first_result(interpreter, block.work)
        })?;
    }
    Ok(())
}

fn alternatives(run: &mut Run, block: &Block, commands: &[Named]) -> Result<(), Failure> {
    let against = &block.pool();
    for (who, command) in commands {
        let command = command.as_ref().map_err(Clone::clone);
        run.try_case(Case { name: &block.row(who), against, samples: 20 }, command, |command| {
            command.first_results(block.work, 1)
        })?;
    }
    let name = &block.row(Jupyter::NAME);
    run.try_case(Case { name, against, samples: 20 }, tried(Jupyter::new())?, |jupyter| {
        jupyter.first_results(block.work, 1)
    })
}

fn aims(run: &mut Run, pandas: &Block) {
    let pool = run.report.samples(&pandas.pool()).map(|s| (s.p50(), s.p99()));
    let zygote = run.report.samples(&pandas.zygote()).map(|s| s.p50());
    if let Some((p50, p99)) = pool {
        let start = "start → first pandas result over HTTP, from the pool";
        run.report.aim_time(&format!("{start}, p50"), Duration::from_millis(5), p50);
        run.report.aim_time(&format!("{start}, p99"), Duration::from_millis(20), p99);
    }
    if let Some(p50) = zygote {
        let start = "start → first pandas result over HTTP, from the zygote, p50";
        run.report.aim_time(start, Duration::from_millis(20), p50);
    }
}
