package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, path string, header ...string) string {
	t.Helper()
	request, answer := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	handler().ServeHTTP(answer, request)
	if answer.Code != 200 {
		t.Fatalf("%s: %d", path, answer.Code)
	}
	return answer.Body.String()
}

func TestAVariableIsComparedAndNotTold(t *testing.T) {
	t.Setenv("CANARY", "a-secret-value")
	told := get(t, "/env?name=CANARY")
	if strings.Contains(told, "a-secret-value") || !strings.Contains(told, `"set":true`) {
		t.Fatal(told)
	}
	if told := get(t, "/env?name=ABSENT"); !strings.Contains(told, `"set":false`) {
		t.Fatal(told)
	}
}

func TestHeadersAreEchoedButNotCredentials(t *testing.T) {
	told := get(t, "/headers", "X-Forwarded-For", "192.0.2.1", "Cookie", "session=secret")
	if !strings.Contains(told, "192.0.2.1") || strings.Contains(told, "secret") {
		t.Fatal(told)
	}
}

func TestAnswersAreCountedByStatus(t *testing.T) {
	pages := handler()
	for _, path := range []string{"/health", "/absent", "/absent"} {
		pages.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	answer := httptest.NewRecorder()
	pages.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{`http_requests_total{status="200"} 1`, `http_requests_total{status="404"} 2`, "duration_seconds_count 3"} {
		if !strings.Contains(answer.Body.String(), line) {
			t.Errorf("%s is missing in %s", line, answer.Body)
		}
	}
}
