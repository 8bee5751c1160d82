package main

import (
	"fmt"
	"net/http"
	"sort"
	"sync"
	"time"
)

// counts is what is told at /metrics, in Prometheus' text format:
// https://prometheus.io/docs/instrumenting/exposition_formats/
type counts struct {
	mutex    sync.Mutex
	byStatus map[int]uint64
	seconds  float64
}

func newCounts() *counts {
	return &counts{byStatus: map[int]uint64{}}
}

// counting counts what the pages answer.
func (c *counts) counting(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, seen := time.Now(), &status{ResponseWriter: w, code: http.StatusOK}
		pages.ServeHTTP(seen, r)
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.byStatus[seen.code]++
		c.seconds += time.Since(begun).Seconds()
	})
}

func (c *counts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	c.mutex.Lock()
	defer c.mutex.Unlock()
	codes, total := make([]int, 0, len(c.byStatus)), uint64(0)
	for code, count := range c.byStatus {
		codes, total = append(codes, code), total+count
	}
	sort.Ints(codes)
	fmt.Fprintln(w, "# TYPE http_requests_total counter")
	for _, code := range codes {
		fmt.Fprintf(w, "http_requests_total{status=\"%d\"} %d\n", code, c.byStatus[code])
	}
	fmt.Fprintln(w, "# TYPE http_request_duration_seconds summary")
	fmt.Fprintf(w, "http_request_duration_seconds_sum %g\n", c.seconds)
	fmt.Fprintf(w, "http_request_duration_seconds_count %d\n", total)
}

// status remembers the code of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
