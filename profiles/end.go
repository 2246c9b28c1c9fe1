package profiles

import (
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
)

// endFields is the part of the table that says what comes after a guest's end, and with the host's.
func endFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "boot.autorestart", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
			Doc: "Start the instance again when its init has crashed: was killed, or has failed. At most 10 times in a row, each time after a longer pause, up to 30 seconds; a minute of life begins a new row. A guest that halts stays halted."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Restart, err = parseBool(v)
			return err
		},
	}, {
		Key: Key{Name: "boot.host_shutdown_action", Type: "stop or force-stop", Default: "stop", Example: "force-stop", Values: []string{"stop", "force-stop"}, Live: true,
			Doc: "What happens to the instance when the host shuts down: it is halted, or killed."},
		set: func(s *sysctl.Spec, _, v string) error {
			if v != "stop" && v != "force-stop" {
				return bad(`%q is neither "stop" nor "force-stop"`, v)
			}
			s.Shutdown.Force = v == "force-stop"
			return nil
		},
	}, {
		Key: Key{Name: "boot.host_shutdown_timeout", Type: "integer", Default: "30", Example: "120", Live: true,
			Doc: "Seconds that the guest may take to halt when the host shuts down, until it is killed."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parseSeconds(v, 1, "120")
			s.Shutdown.Timeout = n
			return err
		},
	}, {
		Key: Key{Name: "boot.stop.priority", Type: "integer", Default: "0", Example: "10", Live: true,
			Doc: "Order of stopping when the host shuts down: the highest priority stops first, and the next one when it has stopped."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parseOrder(v, "stops")
			s.Shutdown.Priority = n
			return err
		},
	}}
}

func parseSeconds(v string, least uint64, example string) (time.Duration, error) {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n < least {
		return 0, bad(`%q is not a number of seconds: write a whole number from %d to 4294967295, such as "%s"`, v, least, example)
	}
	return time.Duration(n) * time.Second, nil
}

func parseOrder(v, does string) (int, error) {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, bad(`%q is not a priority: write a whole number, such as "10"; the highest %s first`, v, does)
	}
	return int(n), nil
}
