package roottest

import (
	"bufio"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// dial opens "PROTO:ADDRESS".
func dial(endpoint string) (net.Conn, error) {
	proto, address, _ := strings.Cut(endpoint, ":")
	conn, err := net.DialTimeout(proto, address, time.Second)
	if err == nil {
		conn.SetDeadline(time.Now().Add(2 * time.Second))
	}
	return conn, err
}

// talk says a line to a server and returns the first one that it answers.
func talk(endpoint, line string) (string, error) {
	conn, err := dial(endpoint)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// says PROTO:ADDRESS LINE ANSWER waits until the server there answers a line so. With ! before it, nobody answers. It asks again and again: a
// proxy takes a connection before the guest's server is there, and nobody outside is told when that is.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		if answer, err := talk(args[0], args[1]); err == nil {
			ts.Fatalf("%s answers %q", args[0], answer)
		}
		return
	}
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		answer, err := talk(args[0], args[1])
		if err == nil && answer == args[2] {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s answers %q, %v after %s, not %q", args[0], answer, err, deadline, args[2])
		}
	}
}

// serves PROTO:ADDRESS WORD is a server on the host, until the script ends: it answers each line with the word before it.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	proto, address, _ := strings.Cut(args[0], ":")
	l, err := net.Listen(proto, address)
	ts.Check(err)
	if proto == "unix" {
		ts.Check(os.Chmod(address, 0o666))
	}
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewScanner(conn); in.Scan(); {
					conn.Write([]byte(args[1] + " " + in.Text() + "\n"))
				}
			}()
		}
	}()
}
