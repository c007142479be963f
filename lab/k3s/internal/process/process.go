package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// Log writes a line of k3s's own to the journal.
func Log(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "k3s: "+format+"\n", values...)
}

// Ready tells systemd that a unit of Type=notify has started; without one it does nothing.
func Ready() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = connection.Write([]byte("READY=1\n"))
	return err
}

// Until asks once in `pause` until `ready` has no error, saying what is missing when that is new, then every 30 s.
// It fails only when the context ends.
func Until(ctx context.Context, what string, pause time.Duration, ready func() error) error {
	var said time.Time
	var last string
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if silence := time.Since(said); silence > 30*time.Second || silence > 10*time.Second && err.Error() != last {
			Log("waiting for %s: %v", what, err)
			said, last = time.Now(), err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last seen: %v)", what, context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}
