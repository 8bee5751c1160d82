"""How the application is served: https://docs.gunicorn.org/en/stable/settings.html"""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
# One process with threads: SQLite has one writer, and the counters of /metrics live in this process.
worker_class = "gthread"
workers = 1
threads = int(os.environ.get("WEB_THREADS", "8"))
# The heartbeat file; a volume that blocks would look like a dead worker, and the root is read-only.
worker_tmp_dir = "/dev/shm"
# Below the pod's grace period of 30 seconds.
graceful_timeout = 25
timeout = 60
# Longer than proxies keep an idle connection, commonly 60 or 90 seconds: who closes first never meets a closed one.
keepalive = 95
accesslog = "-"
# Without the query string: links in mails carry tokens there or in the path, and logs are read by many.
access_log_format = '%(t)s "%(m)s" %(s)s %(b)s %(M)sms'
# Pods are reached through the gateway only.
forwarded_allow_ips = "*"
# Nothing is managed through a socket, and there is no place to put one.
control_socket_disable = True
