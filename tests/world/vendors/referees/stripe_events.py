"""Signed events and what becomes of them, through the official Stripe client."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe
from world import control, fails, same, stripe_client

client = stripe_client()
received = []
status = {"code": 200}


class Receiver(BaseHTTPRequestHandler):
    """Keeps what arrives, answers as told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((body, self.headers["stripe-signature"]))
        self.send_response(status["code"])
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/hook"
endpoint = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["invoice.paid"]})


def happen(kind="invoice.paid", **more):
    return control("POST", "/stripe/events", {"type": kind, "data": {"id": "in_1", "object": "invoice"}, **more})


def a_signed_event_arrives():
    sent = happen()
    same([(row["status"], row["attempts"], row["responseCode"]) for row in sent["deliveries"]], [("succeeded", 1, 200)])
    body, signature = received.pop()
    event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
    same((event.id, event.type, event.data.object["id"], event.livemode), (sent["id"], "invoice.paid", "in_1", False))
    fails(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, "whsec_other"))


def a_wrong_signature_is_wrong():
    happen(wrongSignature=True)
    body, signature = received.pop()
    fails(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, endpoint.secret))


def other_events_and_modes_stay_away():
    same(happen("invoice.voided")["deliveries"], [])
    same(happen(livemode=True)["deliveries"], [])
    same(received, [])


def failures_are_repeated_and_listed():
    status["code"] = 500
    sent = happen()
    same([(row["status"], row["responseCode"]) for row in sent["deliveries"]], [("pending", 500)])
    failed = client.v1.events.list({"delivery_success": False})
    same([event.id for event in failed.data], [sent["id"]])
    same(client.v1.events.retrieve(sent["id"]).pending_webhooks, 1)
    status["code"] = 204
    control("POST", "/clock", {"advanceSeconds": 3600})
    deadline = threading.Event()
    for _ in range(500):
        state = control("GET", "/stripe/events/" + sent["id"])["deliveries"][0]
        if state["status"] == "succeeded":
            break
        deadline.wait(0.02)
    same((state["status"], state["attempts"]), ("succeeded", 2))
    same(client.v1.events.retrieve(sent["id"]).pending_webhooks, 0)
    same(len(client.v1.events.list({"delivery_success": False}).data), 0)
    received.clear()


def disabled_endpoints_get_nothing():
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    same(happen()["deliveries"], [])
    same(received, [])


def events_are_listed_newest_first():
    rows = list(client.v1.events.list({"type": "invoice.paid", "limit": 2}).auto_paging_iter())
    same(len(rows), 4)
    assert [row.created for row in rows] == sorted((row.created for row in rows), reverse=True)
    later = client.v1.events.list({"created": {"gt": rows[1].created}})
    assert all(row.created > rows[1].created for row in later.data)


a_signed_event_arrives()
a_wrong_signature_is_wrong()
other_events_and_modes_stay_away()
failures_are_repeated_and_listed()
disabled_endpoints_get_nothing()
events_are_listed_newest_first()
client.v1.webhook_endpoints.delete(endpoint.id)
