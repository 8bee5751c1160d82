"""Zones and records, through the official Cloudflare client."""

import cloudflare
from world import ACCOUNT, ACCOUNT_TOKEN, ZONE, cloudflare_client, control, fails, same

client = cloudflare_client()
zone = client.zones.list(name=ZONE, account={"id": ACCOUNT}).result[0]
records = client.dns.records


def codes(error):
    return [row["code"] for row in error.body["errors"]]


def create(kind, name, content, **more):
    return records.create(zone_id=zone.id, type=kind, name=name, content=content, ttl=more.pop("ttl", 1), **more)


def refused(code, *row, **more):
    error = fails(cloudflare.BadRequestError, lambda: create(*row, **more))
    same(codes(error), [code])
    return error


def tokens_and_zones():
    same(client.user.tokens.verify().status, "active")
    same(client.accounts.tokens.verify(account_id=ACCOUNT).status, "active")
    owned = cloudflare_client(ACCOUNT_TOKEN)
    same(owned.accounts.tokens.verify(account_id=ACCOUNT).status, "active")
    same(codes(fails(cloudflare.AuthenticationError, owned.user.tokens.verify)), [1000])
    same([row.id for row in owned.zones.list(name=ZONE)], [zone.id])
    same(zone.name_servers, ["ns1.vendors.test", "ns2.vendors.test"])
    same(client.zones.get(zone_id=zone.id).name, ZONE)
    same([row.name for row in client.zones.list(name="absent.example")], [])
    stranger = cloudflare_client("unknown_token")
    same(codes(fails(cloudflare.PermissionDeniedError, lambda: stranger.zones.list())), [9109])
    same(codes(fails(cloudflare.PermissionDeniedError, lambda: stranger.dns.records.list(zone_id=zone.id))), [10000])
    same(codes(fails(cloudflare.AuthenticationError, lambda: stranger.user.tokens.verify())), [1000])


def one_record_from_start_to_end():
    made = create("A", "app", "192.0.2.1", proxied=True, comment="golive/c1/u1 team/app")
    same((made.name, made.ttl, made.proxied, made.comment), (f"app.{ZONE}", 1, True, "golive/c1/u1 team/app"))
    edit = records.edit(dns_record_id=made.id, zone_id=zone.id, type="A", name="app", content="192.0.2.2", ttl=1)
    same((edit.content, edit.comment, edit.proxied), ("192.0.2.2", "golive/c1/u1 team/app", True))
    whole = records.update(dns_record_id=made.id, zone_id=zone.id, type="A", name="app", content="192.0.2.3", ttl=120)
    same((whole.content, whole.comment, whole.proxied, whole.ttl), ("192.0.2.3", None, False, 120))
    same(records.get(dns_record_id=made.id, zone_id=zone.id).content, "192.0.2.3")
    same(records.delete(dns_record_id=made.id, zone_id=zone.id).id, made.id)
    gone = fails(cloudflare.NotFoundError, lambda: records.delete(dns_record_id=made.id, zone_id=zone.id))
    same(codes(gone), [81044])


def records_that_cannot_be():
    create("A", "a", "192.0.2.1")
    create("CNAME", "c", "target.example.net")
    refused(81058, "A", "a", "192.0.2.1")
    refused(81057, "A", "a", "192.0.2.1", ttl=300)
    refused(81053, "CNAME", "a", "other.example.net")
    refused(81053, "CNAME", "c", "other.example.net")
    refused(81054, "A", "c", "192.0.2.9")
    create("A", "a", "192.0.2.2")
    create("TXT", "c", '"beside an alias"')
    refused(9313, "A", "long", "192.0.2.1", comment="x" * 101)
    for row, more in [
        (("A", "bad", "not-an-address"), {}),
        (("AAAA", "bad", "192.0.2.1"), {}),
        (("A", "bad", "192.0.2.1"), {"ttl": 30}),
        (("TXT", "bad", "text"), {"proxied": True}),
        (("A", "bad..name", "192.0.2.1"), {}),
    ]:
        error = refused(1004, *row, **more)
        assert error.body["errors"][0]["error_chain"], error.body


def lists_are_filtered_and_paged():
    for number in range(7):
        create("TXT", f"t{number}", f"v{number}", comment=f"golive/c1/{number}")
    ours = records.list(zone_id=zone.id, comment={"startswith": "golive/c1/"}, per_page=3)
    same(ours.result_info.total_count, 7)
    same(sorted(row.name for row in ours), [f"t{number}.{ZONE}" for number in range(7)])
    same([row.content for row in records.list(zone_id=zone.id, name={"exact": f"t3.{ZONE}"})], ["v3"])
    same([row.name for row in records.list(zone_id=zone.id, comment={"exact": "golive/c1/5"})], [f"t5.{ZONE}"])
    same(len(list(records.list(zone_id=zone.id, type="A"))), 2)
    same([row.name for row in records.list(zone_id=zone.id, content={"exact": "v6"}, type="TXT")], [f"t6.{ZONE}"])
    fails(cloudflare.BadRequestError, lambda: records.list(zone_id=zone.id, per_page=5001))


def a_batch_is_one_transaction():
    before = control("GET", "/inventory")["cloudflare"]["zones"][ZONE]
    by_name = {row["name"]: row["id"] for row in before}
    changes = {
        "deletes": [{"id": by_name[f"t0.{ZONE}"]}],
        "patches": [{"id": by_name[f"t1.{ZONE}"], "content": "patched"}],
        "puts": [{"id": by_name[f"t2.{ZONE}"], "type": "TXT", "name": "t2", "content": "put", "ttl": 1}],
        "posts": [{"type": "TXT", "name": "t0", "content": "again", "ttl": 60}],
    }
    spoiled = {**changes, "posts": changes["posts"] + [{"type": "A", "name": "c", "content": "192.0.2.9", "ttl": 1}]}
    error = fails(cloudflare.BadRequestError, lambda: records.batch(zone_id=zone.id, **spoiled))
    same(codes(error), [81054])
    same(control("GET", "/inventory")["cloudflare"]["zones"][ZONE], before)
    done = records.batch(zone_id=zone.id, **changes)
    same((done.patches[0].content, done.patches[0].comment), ("patched", "golive/c1/1"))
    same((done.puts[0].content, done.puts[0].comment), ("put", None))
    same((done.posts[0].content, done.deletes[0].id), ("again", by_name[f"t0.{ZONE}"]))


def plans_have_limits():
    rows = list(records.list(zone_id=zone.id, per_page=5000))
    records.batch(zone_id=zone.id, deletes=[{"id": row.id} for row in rows])
    post = lambda number: {"type": "A", "name": f"n{number}", "content": "192.0.2.1", "ttl": 1}
    too_long = lambda: records.batch(zone_id=zone.id, posts=[post(number) for number in range(201)])
    fails(cloudflare.BadRequestError, too_long)
    records.batch(zone_id=zone.id, posts=[post(number) for number in range(200)])
    refused(81045, "A", "one-more", "192.0.2.1")
    rows = list(records.list(zone_id=zone.id, per_page=150))
    same(len(rows), 200)
    records.batch(zone_id=zone.id, deletes=[{"id": row.id} for row in rows])


def too_many_requests_shut_the_token_out():
    verify = client.user.tokens.verify
    control("POST", "/clock", {"advanceSeconds": 600, "hold": True})
    for _ in range(6):
        for _ in range(200):
            verify()
        second = fails(cloudflare.RateLimitError, verify)
        same(second.response.headers["retry-after"], "1")
        control("POST", "/clock", {"advanceSeconds": 1})
    window = fails(cloudflare.RateLimitError, verify)
    same(window.response.headers["retry-after"], "300")
    control("POST", "/clock", {"advanceSeconds": 299})
    fails(cloudflare.RateLimitError, verify)
    control("POST", "/clock", {"advanceSeconds": 1, "hold": False})
    verify()


tokens_and_zones()
one_record_from_start_to_end()
records_that_cannot_be()
lists_are_filtered_and_paged()
a_batch_is_one_transaction()
plans_have_limits()
too_many_requests_shut_the_token_out()
