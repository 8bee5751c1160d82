"""The vendors' own SDKs judge what golive left at the vendors for csvboard, and restic what it backed up."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile

import cloudflare
import httpx
import stripe

EVENTS = {
    "checkout.session.completed",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "invoice.payment_failed",
}


def judge_stripe(env):
    stripe.api_key, stripe.api_base = env["STRIPE_KEY"], env["STRIPE_API"]
    stripe.ca_bundle_path = env["CA_BUNDLE"]
    stripe.default_http_client = stripe.RequestsClient()
    found = [e for e in stripe.WebhookEndpoint.list(limit=100).auto_paging_iter() if "app.example.com" in e.url]
    assert len(found) == 1, found
    assert found[0].url == "https://app.example.com/stripe-webhook", found[0].url
    assert set(found[0].enabled_events) == EVENTS, found[0].enabled_events
    assert found[0].status == "enabled" and found[0].metadata["golive_name"] == "csvboard/csvboard"


def judge_cloudflare(env):
    client = cloudflare.Cloudflare(
        api_token=env["CLOUDFLARE_TOKEN"],
        base_url=env["CLOUDFLARE_API"],
        http_client=httpx.Client(verify=env["CA_BUNDLE"]),
    )
    zone = next(z for z in client.zones.list() if z.name == "example.com")
    records = {r.name: r for r in client.dns.records.list(zone_id=zone.id) if r.name.endswith("app.example.com")}
    assert set(records) == {"app.example.com", "www.app.example.com"}, records
    for record in records.values():
        assert record.type == "A" and record.proxied and record.content == env["GATEWAY_HOST"], record
        assert record.comment.startswith("golive/") and record.comment.endswith("csvboard/csvboard"), record.comment


def judge_backup(env, live_rows):
    cluster = env["CLUSTER"]
    repository = f"s3:{env['S3_ENDPOINT']}/{env['S3_BUCKET']}/{cluster}/csvboard/csvboard"
    restic = ["restic", "--repo", repository, "--cacert", env["CA_BUNDLE"], "--no-cache"]
    snapshots = json.loads(subprocess.check_output([*restic, "snapshots", "--json", "--tag", "verified"]))
    assert snapshots, "no verified snapshot"
    newest = max(snapshots, key=lambda s: s["time"])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([*restic, "restore", newest["id"], "--target", folder, "--quiet"])
        files = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names if f == "database.sqlite3"]
        database = sqlite3.connect(files[0])
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        names = [n for (n,) in database.execute("select name from sqlite_master where type='table' and name not like 'sqlite_%'")]
        rows = {n: database.execute(f'select count(*) from "{n}"').fetchone()[0] for n in names}
    assert rows == live_rows, (rows, live_rows)


if __name__ == "__main__":
    judge_stripe(os.environ)
    judge_cloudflare(os.environ)
    judge_backup(os.environ, json.loads(sys.argv[1]))
    print("the referees agree")
