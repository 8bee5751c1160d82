package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", greeting)
	pages.HandleFunc("GET /health", health)
	pages.HandleFunc("GET /env", environment)
	pages.HandleFunc("GET /headers", headers)
	counts := newCounts()
	pages.Handle("GET /metrics", counts)
	return counts.counting(pages)
}

func greeting(w http.ResponseWriter, _ *http.Request) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "hello %s from %s\n", version, host)
}

func health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"status": "ok"})
}

// environment tells whether a variable is set, and the digest of its value: enough to compare, too little to leak.
func environment(w http.ResponseWriter, r *http.Request) {
	value, set := os.LookupEnv(r.URL.Query().Get("name"))
	answer := map[string]any{"set": set}
	if set {
		digest := sha256.Sum256([]byte(value))
		answer["sha256"] = hex.EncodeToString(digest[:])
	}
	writeJSON(w, answer)
}

// headers gives back what reached the program, so that a test can see what the proxies in front of it changed. What
// authenticates a person is named, and its value kept.
func headers(w http.ResponseWriter, r *http.Request) {
	seen := r.Header.Clone()
	for _, name := range []string{"Authorization", "Cookie"} {
		if seen.Get(name) != "" {
			seen.Set(name, "(not shown)")
		}
	}
	writeJSON(w, map[string]any{"host": r.Host, "headers": seen})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the only failure left is a caller that has gone
}
