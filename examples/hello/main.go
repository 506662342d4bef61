// Command hello greets, then waits to be told to stop: the whole content of the
// image that examples/hello builds.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	name, err := os.Hostname()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
	fmt.Printf("Hello from container %s. Stop me with: compose down\n", name)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	fmt.Println("Goodbye.")
}
