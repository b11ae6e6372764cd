//! The trainer's commands: thin, each one a file that reads its arguments and calls the library.
//!
//! To add one, write its file in `cli/` and register it in [`commands!`] below.

use clap::Parser;

mod bundle;
mod demo;
mod engine;
mod evaluate;
mod import;
mod keys;
mod publish;
mod replay;
mod run;
mod serve;
mod simulate;
mod tables;
pub mod terminal;
mod train;
mod vectors;

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
    fn run(self) -> anyhow::Result<()>;
}

macro_rules! commands {
    ($($variant:ident($arguments:ty),)*) => {
        #[derive(Debug, clap::Subcommand)]
        enum Command {
            $($variant($arguments),)*
        }

        impl Cli {
            /// Runs the command that was asked for.
            ///
            /// # Errors
            /// What went wrong and what to do next.
            pub fn run(self) -> anyhow::Result<()> {
                match self.command {
                    $(Command::$variant(command) => command.run(),)*
                }
            }
        }
    };
}

commands! {
    Demo(demo::Demo),
    Keys(keys::Keys),
    Import(import::Import),
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
    Engine(engine::Engine),
}
