//! `vendors` runs the servers; `vendors ca` and `vendors cert` issue certificates from their authority.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use vendors::net::Fallible;
use vendors::net::authority::Authority;
use vendors::{Config, Ports, Seed};

#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Option<Serve>,
    #[command(flatten)]
    ports: PortArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Makes DIR/ca.crt and DIR/ca.key unless they are there.
    Ca {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Issues a certificate for names or addresses: PREFIX.crt and PREFIX.key.
    Cert {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long = "host", required = true)]
        hosts: Vec<String>,
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args)]
struct Serve {
    /// Keeps the authority and the state.
    #[arg(long)]
    dir: PathBuf,
    /// Address of the vendors' APIs and of the control API.
    #[arg(long)]
    api: IpAddr,
    /// Address that proxied records resolve to.
    #[arg(long)]
    edge: IpAddr,
    #[arg(long)]
    dns: IpAddr,
    /// PEM file of the authorities that origins are trusted by; may appear later.
    #[arg(long)]
    origin_ca: Option<PathBuf>,
    /// JSON file with the accounts that exist from the start.
    #[arg(long)]
    seed: Option<PathBuf>,
}

#[derive(Args)]
struct PortArgs {
    #[arg(long, default_value_t = 8001)]
    cloudflare_port: u16,
    #[arg(long, default_value_t = 8002)]
    stripe_port: u16,
    #[arg(long, default_value_t = 8003)]
    uptimerobot_port: u16,
    #[arg(long, default_value_t = 8004)]
    sentry_port: u16,
    #[arg(long, default_value_t = 8099)]
    control_port: u16,
    #[arg(long, default_value_t = 53)]
    dns_port: u16,
    #[arg(long, default_value_t = 80)]
    edge_http_port: u16,
    #[arg(long, default_value_t = 443)]
    edge_https_port: u16,
    #[arg(long, default_value_t = 80)]
    origin_http_port: u16,
    #[arg(long, default_value_t = 443)]
    origin_https_port: u16,
}

impl PortArgs {
    fn ports(&self) -> Ports {
        Ports {
            cloudflare: self.cloudflare_port,
            stripe: self.stripe_port,
            uptimerobot: self.uptimerobot_port,
            sentry: self.sentry_port,
            control: self.control_port,
            dns: self.dns_port,
            edge_http: self.edge_http_port,
            edge_https: self.edge_https_port,
            origin_http: self.origin_http_port,
            origin_https: self.origin_https_port,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vendors: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Fallible<()> {
    match (cli.command, cli.serve) {
        (Some(Command::Ca { dir }), _) => Authority::open(&dir).map(|_| ()),
        (Some(Command::Cert { dir, hosts, out }), _) => Authority::open(&dir)?.write_leaf(&hosts, &out),
        (None, Some(serve)) => serve.run(cli.ports.ports()).await,
        (None, None) => Err("nothing to do: see --help".into()),
    }
}

impl Serve {
    async fn run(self, ports: Ports) -> Fallible<()> {
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let running = vendors::start(self.config(ports)?).await?;
        println!("ready");
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.save()
    }

    fn config(self, ports: Ports) -> Fallible<Config> {
        let seed: Seed = match &self.seed {
            Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
            None => Seed::default(),
        };
        let mut bytes = [0; 16];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| "no randomness")?;
        let entropy = vendors::message::hex(&bytes);
        let Self { dir, api, edge, dns, origin_ca, .. } = self;
        Ok(Config { dir, api, edge, dns, origin_ca, seed, ports, entropy, monitors_run: true })
    }
}
