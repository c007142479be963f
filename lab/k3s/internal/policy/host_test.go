package policy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const inHost = "POLICY_TEST_HOST"

// TestMain lets this binary be a host of the kernel test, too.
func TestMain(m *testing.M) {
	if os.Getenv(inHost) == "" {
		os.Exit(m.Run())
	}
	if err := actAsHost(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// host is a process in a network namespace of its own, which ends with it: nothing can be left behind.
type host struct {
	pid     string
	ask     io.Writer
	answers *bufio.Reader
}

func start(t *testing.T) *host {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), inHost+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	ask, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ask.Close(), cmd.Wait() }) // it ends when it is asked no more
	h := &host{strconv.Itoa(cmd.Process.Pid), ask, bufio.NewReader(answers)}
	if line, err := h.answers.ReadString('\n'); line != "ready\n" {
		t.Fatal("a host did not start: ", line, err)
	}
	return h
}

// run calls commands in the host's network, one a line.
func (h *host) run(t *testing.T, stdin, commands string) {
	t.Helper()
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		cmd := exec.Command("nsenter", append([]string{"--net=/proc/" + h.pid + "/ns/net"}, words...)...)
		cmd.Stdin = strings.NewReader(stdin)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s%s", strings.TrimSpace(line), err, output, stdin)
		}
	}
}

// reach makes one connection and says: open, refused or silent.
func (h *host) reach(t *testing.T, network, address string) string {
	t.Helper()
	if _, err := fmt.Fprintln(h.ask, network, address); err != nil {
		t.Fatal(err)
	}
	answer, err := h.answers.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// actAsHost answers on ports 80 and 81 and connects where it is told to, until it is told no more.
func actAsHost() error {
	for name, value := range map[string]string{"ip_forward": "1", "icmp_ratelimit": "0"} { // a limit would hold back most refusals
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	for _, address := range []string{":80", ":81"} {
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		go func() {
			for {
				if connection, err := listener.Accept(); err == nil {
					_, _ = connection.Write([]byte("y"))
					_ = connection.Close()
				}
			}
		}()
		packets, err := net.ListenPacket("udp4", address)
		if err != nil {
			return err
		}
		go func() {
			for buffer := make([]byte, 1); ; {
				if _, from, err := packets.ReadFrom(buffer); err == nil {
					_, _ = packets.WriteTo(buffer, from)
				}
			}
		}()
	}
	fmt.Println("ready")
	for {
		var network, address string
		if _, err := fmt.Scanln(&network, &address); err != nil {
			return nil
		}
		fmt.Println(connect(network, address))
	}
}

func connect(network, address string) string {
	connection, err := net.DialTimeout(network+"4", address, 3*time.Second)
	if err == nil {
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err = connection.Write([]byte("x")); err == nil || network == "tcp" {
			_, err = io.ReadFull(connection, make([]byte, 1))
		}
	}
	switch {
	case err == nil:
		return "open"
	case strings.Contains(err.Error(), "refused"):
		return "refused"
	}
	return "silent (" + err.Error() + ")"
}
