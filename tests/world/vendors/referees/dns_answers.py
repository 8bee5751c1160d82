"""The DNS server, through dnspython: what the API stores is what resolvers see."""

import dns.flags
import dns.message
import dns.query
import dns.rcode
from world import DNS_HOST, DNS_PORT, ZONE, cloudflare_client, same

client = cloudflare_client()
zone = client.zones.list(name=ZONE).result[0]
EDGE = DNS_HOST


def ask(name, kind, tcp=False, **more):
    query = dns.message.make_query(name, kind, **more)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, DNS_HOST, port=int(DNS_PORT), timeout=5)


def answers(name, kind, **more):
    return sorted(row.to_text() for rrset in ask(name, kind, **more).answer for row in rrset)


def put(kind, name, content, **more):
    ttl = more.pop("ttl", 1)
    return client.dns.records.create(zone_id=zone.id, type=kind, name=name, content=content, ttl=ttl, **more)


made = [
    put("A", "plain", "192.0.2.1", ttl=120),
    put("A", "plain", "192.0.2.2", ttl=120),
    put("AAAA", "plain", "2001:db8::1"),
    put("A", "front", "192.0.2.3", proxied=True),
    put("CNAME", "alias", f"plain.{ZONE}"),
    put("CNAME", "twice", f"alias.{ZONE}"),
    put("CNAME", "away", "elsewhere.example.net"),
    put("A", "*.wild", "192.0.2.4"),
    put("A", "deep.under.tree", "192.0.2.5"),
    put("TXT", "_acme-challenge.plain", "token-value"),
    put("TXT", "long", "x" * 600),
    put("MX", "@", "mail.example.net", priority=10),
    put("CAA", "@", None, data={"flags": 0, "tag": "issue", "value": "letsencrypt.org"}),
    put("CNAME", "flat", "plain." + ZONE, proxied=True),
]
for number in range(60):
    made.append(put("TXT", "many", f"value number {number} " + "y" * 30))


def kinds_are_answered():
    same(answers(f"plain.{ZONE}", "A"), ["192.0.2.1", "192.0.2.2"])
    same(answers(f"plain.{ZONE}", "AAAA"), ["2001:db8::1"])
    same(ask(f"plain.{ZONE}", "A").answer[0].ttl, 120)
    same(answers(f"_acme-challenge.plain.{ZONE}", "TXT"), ['"token-value"'])
    same(answers(ZONE, "MX"), ["10 mail.example.net."])
    same(answers(ZONE, "CAA"), ['0 issue "letsencrypt.org"'])
    same(answers(ZONE, "NS"), ["ns1.vendors.test.", "ns2.vendors.test."])
    same(b"".join(ask(f"long.{ZONE}", "TXT", tcp=True).answer[0][0].strings), b"x" * 600)
    assert ask(ZONE, "SOA").answer[0][0].serial > 1
    assert ask(f"PLAIN.{ZONE}", "A").flags & dns.flags.AA


def proxied_names_lead_to_the_edge():
    same(answers(f"front.{ZONE}", "A"), [EDGE])
    same(answers(f"flat.{ZONE}", "A"), [EDGE])
    same(answers(f"front.{ZONE}", "AAAA"), [])


def aliases_are_followed():
    same(answers(f"alias.{ZONE}", "A"), ["192.0.2.1", "192.0.2.2", f"plain.{ZONE}."])
    same(answers(f"twice.{ZONE}", "A"), ["192.0.2.1", "192.0.2.2", f"alias.{ZONE}.", f"plain.{ZONE}."])
    same(answers(f"away.{ZONE}", "A"), ["elsewhere.example.net."])
    same(answers(f"alias.{ZONE}", "CNAME"), [f"plain.{ZONE}."])


def what_is_not_there_is_said():
    absent = ask(f"absent.{ZONE}", "A")
    same((absent.rcode(), absent.authority[0].rdtype), (dns.rcode.NXDOMAIN, dns.rdatatype.SOA))
    nodata = ask(f"plain.{ZONE}", "MX")
    same((nodata.rcode(), nodata.answer, nodata.authority[0].rdtype), (dns.rcode.NOERROR, [], dns.rdatatype.SOA))
    same(ask(f"under.tree.{ZONE}", "A").rcode(), dns.rcode.NOERROR)
    same(ask("elsewhere.example.net", "A").rcode(), dns.rcode.NXDOMAIN)
    same(ask("elsewhere.example.net", "A", flags=0).rcode(), dns.rcode.REFUSED)


def wildcards_stand_in():
    same(answers(f"x.wild.{ZONE}", "A"), ["192.0.2.4"])
    same(answers(f"x.y.wild.{ZONE}", "A"), ["192.0.2.4"])
    same(ask(f"x.{ZONE}", "A").rcode(), dns.rcode.NXDOMAIN)


def own_hosts_resolve():
    same(answers("ns1.vendors.test", "A"), [DNS_HOST])
    same(answers("anything.vendors.test", "A"), [DNS_HOST])


def long_answers_go_over_tcp():
    cut = ask(f"many.{ZONE}", "TXT")
    assert cut.flags & dns.flags.TC and not cut.answer, cut
    cut = ask(f"many.{ZONE}", "TXT", use_edns=0, payload=1232)
    assert cut.flags & dns.flags.TC and cut.edns == 0, cut
    same(len(answers(f"many.{ZONE}", "TXT", tcp=True)), 60)


kinds_are_answered()
proxied_names_lead_to_the_edge()
aliases_are_followed()
what_is_not_there_is_said()
wildcards_stand_in()
own_hosts_resolve()
long_answers_go_over_tcp()
client.dns.records.batch(zone_id=zone.id, deletes=[{"id": row.id} for row in made])
same(ask(f"plain.{ZONE}", "A").rcode(), dns.rcode.NXDOMAIN)
