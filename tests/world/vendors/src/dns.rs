//! Answers to DNS questions from Cloudflare's zones, without a socket.

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, MX, NS, NULL, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record as Row, RecordType};

use crate::cloudflare::record::Fields;
use crate::cloudflare::{State, Zone};

/// The domain of the vendors' own hosts, such as their name servers.
const OWN: &str = "vendors.test";
const AUTOMATIC_TTL: u32 = 300;
const CHAIN: usize = 8;

/// What answers depend on.
pub struct View<'a> {
    pub cloudflare: &'a State,
    /// What proxied records resolve to.
    pub edge: IpAddr,
    /// What the vendors' own hosts resolve to.
    pub dns: IpAddr,
}

/// Rows, or the reason for none; `zone` signs for it with its SOA record.
struct Found<'a> {
    rows: Vec<Row>,
    code: ResponseCode,
    zone: Option<&'a Zone>,
}

impl View<'_> {
    /// The answer to a query.
    pub fn respond(&self, query: &Message) -> Message {
        let mut answer = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        if query.edns.is_some() {
            let mut own = Edns::new();
            own.set_max_payload(1232);
            answer.set_edns(own);
        }
        match query.queries.first() {
            Some(question) if query.metadata.op_code == OpCode::Query => self.fill(&mut answer, question),
            _ => answer.metadata.response_code = ResponseCode::NotImp,
        }
        answer
    }

    fn fill(&self, answer: &mut Message, question: &Query) {
        answer.add_query(question.clone());
        let name = plain(question.name());
        let found = self.find(&name, question.query_type());
        answer.metadata.response_code = found.code;
        if found.code == ResponseCode::Refused && answer.metadata.recursion_desired {
            // A stub resolver gives up at once on a name that is not there, and tries again when refused.
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.metadata.authoritative = found.code != ResponseCode::Refused;
        if found.rows.is_empty() {
            answer.add_authorities(found.zone.and_then(|zone| self.soa(zone)));
        }
        answer.add_answers(found.rows);
    }

    fn find(&self, name: &str, kind: RecordType) -> Found<'_> {
        if within(name, OWN) {
            let rows = address_row(name, self.dns, AUTOMATIC_TTL, kind).into_iter().collect();
            return Found { rows, code: ResponseCode::NoError, zone: None };
        }
        let Some(zone) = self.zone_of(name) else {
            return Found { rows: Vec::new(), code: ResponseCode::Refused, zone: None };
        };
        let Some(node) = node(zone, name) else {
            return Found { rows: Vec::new(), code: ResponseCode::NXDomain, zone: Some(zone) };
        };
        let mut rows = self.apex_rows(zone, name, kind);
        rows.extend(self.node_rows(name, &node, kind));
        Found { rows, code: ResponseCode::NoError, zone: Some(zone) }
    }

    fn node_rows(&self, name: &str, node: &[&Fields], kind: RecordType) -> Vec<Row> {
        if node.iter().any(|fields| fields.proxied)
            && matches!(kind, RecordType::A | RecordType::AAAA | RecordType::CNAME)
        {
            return address_row(name, self.edge, AUTOMATIC_TTL, kind).into_iter().collect();
        }
        let own = node.iter().filter(|fields| fields.kind == kind.to_string());
        let rows: Vec<Row> = own.filter_map(|fields| row(name, fields)).collect();
        let alias = node.iter().find(|fields| fields.kind == "CNAME" && !fields.proxied);
        match alias {
            Some(alias) if rows.is_empty() => self.chased(name, alias, kind),
            _ => rows,
        }
    }

    /// The alias with what it leads to; at a zone's apex only what it leads to, under the apex's own name:
    /// <https://developers.cloudflare.com/dns/cname-flattening/>.
    fn chased(&self, name: &str, alias: &Fields, kind: RecordType) -> Vec<Row> {
        let apex = self.zone_of(name).is_some_and(|zone| zone.name == name);
        if apex {
            let addresses = self.addresses(&alias.content);
            return addresses.iter().filter_map(|ip| address_row(name, *ip, AUTOMATIC_TTL, kind)).collect();
        }
        let mut rows: Vec<Row> = row(name, alias).into_iter().collect();
        let mut target = alias.content.clone();
        for _ in 0..CHAIN {
            let found = self.find(&target, kind);
            let next = found
                .rows
                .iter()
                .find_map(|row| if let RData::CNAME(next) = &row.data { Some(plain(next)) } else { None });
            rows.extend(found.rows);
            match next {
                Some(next) if kind != RecordType::CNAME && next != target && rows.len() < CHAIN => target = next,
                _ => break,
            }
        }
        rows.dedup();
        rows
    }

    fn apex_rows(&self, zone: &Zone, name: &str, kind: RecordType) -> Vec<Row> {
        match kind {
            RecordType::SOA if zone.name == name => self.soa(zone).into_iter().collect(),
            RecordType::NS if zone.name == name => {
                let servers = self.cloudflare.name_servers().iter();
                servers.filter_map(|server| made(name, 86400, RData::NS(NS(parsed(server)?)))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn soa(&self, zone: &Zone) -> Option<Row> {
        let server = parsed(self.cloudflare.name_servers().first()?)?;
        let soa = SOA::new(server, parsed("dns.cloudflare.com")?, zone.serial, 10000, 2400, 604_800, 60);
        made(&zone.name, 60, RData::SOA(soa))
    }

    fn zone_of(&self, name: &str) -> Option<&Zone> {
        let holders = self.cloudflare.zones.iter().filter(|zone| within(name, &zone.name));
        holders.max_by_key(|zone| zone.name.len())
    }

    /// The addresses of a host, as any resolver would find them.
    pub fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let rows = [RecordType::A, RecordType::AAAA].into_iter().flat_map(|kind| self.find(host, kind).rows);
        rows.filter_map(|row| match row.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        })
        .collect()
    }

    /// The texts of a name.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let rows = self.find(name, RecordType::TXT).rows.into_iter();
        let text = |txt: &TXT| txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect();
        rows.filter_map(|row| if let RData::TXT(txt) = &row.data { Some(text(txt)) } else { None }).collect()
    }

    /// Whether a host hides behind the edge.
    pub fn is_proxied(&self, host: &str) -> bool {
        self.node_of(host).is_some_and(|node| node.iter().any(|fields| fields.proxied))
    }

    /// Whether a host belongs to a zone.
    pub fn is_held(&self, host: &str) -> bool {
        self.zone_of(host).is_some()
    }

    /// The addresses behind a proxied host; aliases are followed past the edge.
    pub fn origins(&self, host: &str) -> Vec<IpAddr> {
        let mut host = host.to_string();
        for _ in 0..CHAIN {
            let Some(node) = self.node_of(&host) else { return self.addresses(&host) };
            let alias = node.iter().find(|fields| fields.kind == "CNAME").map(|fields| fields.content.clone());
            let Some(alias) = alias else {
                return node.iter().filter_map(|fields| fields.content.parse().ok()).collect();
            };
            host = alias;
        }
        Vec::new()
    }

    fn node_of(&self, host: &str) -> Option<Vec<&Fields>> {
        self.zone_of(host).and_then(|zone| node(zone, host))
    }
}

/// The records under a name, or those of the wildcard that stands for it (RFC 4592); none if the name does not exist.
fn node<'a>(zone: &'a Zone, name: &str) -> Option<Vec<&'a Fields>> {
    let all = || zone.records.iter().map(|record| &record.fields);
    let under = |name: &str| all().filter(|fields| fields.name == name).collect::<Vec<_>>();
    let exists = |name: &str| name == zone.name || all().any(|fields| within(&fields.name, name));
    if exists(name) {
        return Some(under(name));
    }
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if exists(parent) {
            return Some(under(&format!("*.{parent}"))).filter(|found| !found.is_empty());
        }
        rest = parent;
    }
    None
}

fn within(name: &str, domain: &str) -> bool {
    name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn parsed(name: &str) -> Option<Name> {
    Name::from_str(&format!("{}.", name.trim_end_matches('.'))).ok()
}

fn made(name: &str, ttl: u32, data: RData) -> Option<Row> {
    Some(Row::from_rdata(parsed(name)?, ttl, data))
}

fn address_row(name: &str, ip: IpAddr, ttl: u32, kind: RecordType) -> Option<Row> {
    match (ip, kind) {
        (IpAddr::V4(ip), RecordType::A) => made(name, ttl, RData::A(ip.into())),
        (IpAddr::V6(ip), RecordType::AAAA) => made(name, ttl, RData::AAAA(ip.into())),
        _ => None,
    }
}

fn row(name: &str, fields: &Fields) -> Option<Row> {
    let ttl = if fields.ttl == 1 { AUTOMATIC_TTL } else { fields.ttl };
    made(name, ttl, data(fields)?)
}

fn data(fields: &Fields) -> Option<RData> {
    let content = fields.content.as_str();
    Some(match fields.kind.as_str() {
        "A" => RData::A(std::net::Ipv4Addr::from_str(content).ok()?.into()),
        "AAAA" => RData::AAAA(std::net::Ipv6Addr::from_str(content).ok()?.into()),
        "CNAME" => RData::CNAME(CNAME(parsed(content)?)),
        "NS" => RData::NS(NS(parsed(content)?)),
        "MX" => RData::MX(MX::new(fields.priority.unwrap_or(0), parsed(content)?)),
        "TXT" => RData::TXT(TXT::new(strings(content))),
        "SRV" => srv(content)?,
        "CAA" => caa(content)?,
        _ => return None,
    })
}

/// Text in quotes is one string each; everything is cut to 255 bytes.
fn strings(content: &str) -> Vec<String> {
    let quoted = content.len() >= 2 && content.starts_with('"') && content.ends_with('"');
    let whole =
        if quoted { content[1..content.len() - 1].replace("\" \"", "").replace("\\\"", "\"") } else { content.into() };
    let letters: Vec<char> = whole.chars().collect();
    letters.chunks(255).map(|chunk| chunk.iter().collect()).collect()
}

fn srv(content: &str) -> Option<RData> {
    let parts: Vec<&str> = content.split_whitespace().collect();
    let [priority, weight, port, target] = parts[..] else { return None };
    Some(RData::SRV(SRV::new(priority.parse().ok()?, weight.parse().ok()?, port.parse().ok()?, parsed(target)?)))
}

/// RFC 8659: flags, the tag with its length, the value.
fn caa(content: &str) -> Option<RData> {
    let mut parts = content.splitn(3, ' ');
    let (flags, tag, value) = (parts.next()?.parse::<u8>().ok()?, parts.next()?, parts.next()?.trim_matches('"'));
    let mut bytes = vec![flags, u8::try_from(tag.len()).ok()?];
    bytes.extend(tag.bytes().chain(value.bytes()));
    Some(RData::Unknown { code: RecordType::CAA, rdata: NULL::with(bytes) })
}
