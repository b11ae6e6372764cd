//! The trainer's commands: thin, each one a file that reads its arguments and calls the library.
//!
//! To add one, write its file in `cli/` and register it in [`commands!`] below.

use anyhow::Result;
use clap::Parser;

mod bundle;
mod data;
mod demo;
mod engine;
mod evaluate;
mod import;
mod keys;
mod publish;
mod replay;
mod run;
#[cfg(feature = "cluster")]
mod scheduler;
mod serve;
mod simulate;
mod size;
mod tables;
pub mod terminal;
mod train;
mod vectors;
#[cfg(feature = "cluster")]
mod worker;

/// Learn what a Home screen should show, judge it, and publish it to the edges that show it.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, arg_required_else_help = true)]
#[command(after_help = "Start with `trainer demo`; docs/guide.md walks through the commands on your own data.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What every command does.
trait Run {
    /// Runs it; an error says what to do next.
    fn run(self) -> Result<()>;
}

/// An enum of commands, and what runs the one that was asked for.
macro_rules! commands {
    ($owner:ident: $($(#[$when:meta])? $variant:ident($arguments:ty),)*) => {
        #[derive(Debug, clap::Subcommand)]
        enum Command {
            $($(#[$when])? $variant($arguments),)*
        }

        impl Run for $owner {
            fn run(self) -> Result<()> {
                match self.command {
                    $($(#[$when])? Command::$variant(command) => command.run(),)*
                }
            }
        }
    };
}
use commands;

impl Cli {
    /// Runs the command that was asked for.
    ///
    /// # Errors
    /// What went wrong and what to do next.
    pub fn run(self) -> Result<()> {
        Run::run(self)
    }
}

commands! { Cli:
    Demo(demo::Demo),
    Keys(keys::Keys),
    Import(import::Import),
    Data(data::Data),
    Simulate(simulate::Simulate),
    Replay(replay::Replay),
    Train(train::Train),
    Vectors(vectors::Vectors),
    Bundle(bundle::Bundle),
    Evaluate(evaluate::Evaluate),
    Publish(publish::Publish),
    Tables(tables::Tables),
    Run(run::RunAll),
    Serve(serve::Serve),
    #[cfg(feature = "cluster")]
    Scheduler(scheduler::Scheduler),
    #[cfg(feature = "cluster")]
    Worker(worker::Worker),
    Engine(engine::Engine),
}
