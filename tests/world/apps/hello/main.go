// Command hello is the smallest honest application: it answers HTTP, tells its version and its host, counts what it
// answers, and stops when it is told to.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "dev"

// grace is how long open requests may take once the program is told to stop.
const grace = 20 * time.Second

func main() {
	log.SetFlags(0)
	port := flag.String("port", portOfEnvironment(), "port to listen on")
	flag.Parse()
	if err := serve(*port); err != nil {
		log.Fatalf("hello: %v", err)
	}
}

func portOfEnvironment() string {
	if port := os.Getenv("PORT"); port != "" {
		return port
	}
	return "8000"
}

func serve(port string) error {
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	server := &http.Server{Addr: ":" + port, Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("hello %s listens on port %s", version, port)
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	log.Print("hello stopped")
	return nil
}
