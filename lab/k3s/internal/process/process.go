package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sirupsen/logrus"
)

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

// Until asks once in `pause` until `ready` has no error, saying `waiting` and what is missing when that is new, then every 30 s.
// It fails only when the context ends.
func Until(ctx context.Context, level logrus.Level, waiting string, pause time.Duration, ready func() error) error {
	var said time.Time
	var last string
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if silence := time.Since(said); silence > 30*time.Second || silence > 10*time.Second && err.Error() != last {
			logrus.StandardLogger().Logf(level, "%s: %v", waiting, err)
			said, last = time.Now(), err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last seen: %v)", waiting, context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}
