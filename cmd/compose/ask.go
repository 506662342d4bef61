package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ask puts a yes/no question and reads a line: no answer is No.
func (a *app) ask(question string) (bool, error) {
	var answer string
	var err error
	a.write(func() {
		fmt.Fprintf(a.out, "%s [y/N] ", question)
		answer, err = a.answers.ReadString('\n')
		if !isTerminal(a.in) {
			fmt.Fprintln(a.out)
		}
	})
	if err != nil && answer == "" { // end of input
		return false, nil
	}
	return truth(strings.TrimSpace(answer)), nil
}

// inputEnded reports whether there is nobody at standard input and no answer in
// it, as with /dev/null: a question would not be heard. It does not wait.
func (a *app) inputEnded() bool {
	if isTerminal(a.in) {
		return false
	}
	if a.answers.Buffered() == 0 {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(a.in.Fd()), Events: unix.POLLIN}}, 0)
		if errors.Is(err, unix.EINTR) || err == nil && ready == 0 {
			return false // whoever holds the other end may answer yet
		}
	}
	_, err := a.answers.Peek(1)
	return err != nil
}
