package agent

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/sirupsen/logrus"
)

// importImages brings the archives of agent/images and the references listed in its text files into containerd.
func (a *agent) importImages(ctx context.Context) error {
	entries, err := os.ReadDir(a.file("images"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		file := a.file("images/" + entry.Name())
		if strings.HasSuffix(file, ".txt") {
			err = a.pullListed(ctx, file)
		} else {
			err = importArchive(ctx, file)
		}
		if err != nil { // k3s says so and goes on
			logrus.Errorf("%s: %v", file, err)
		}
	}
	return nil
}

func importArchive(ctx context.Context, file string) error {
	archive, err := os.Open(file)
	if err != nil {
		return err
	}
	defer archive.Close()
	var plain io.Reader = bufio.NewReader(archive)
	switch filepath.Ext(file) {
	case ".tar":
	case ".gz", ".tgz":
		if plain, err = gzip.NewReader(plain); err != nil {
			return err
		}
	case ".zst":
		decoder, err := zstd.NewReader(plain)
		if err != nil {
			return err
		}
		defer decoder.Close()
		plain = decoder
	default:
		return fmt.Errorf("neither an image archive (.tar, .tar.gz, .tar.zst) nor a list (.txt)")
	}
	logrus.Infof("importing images from %s", file)
	return ctr(ctx, plain, "images", "import", "--all-platforms", "-")
}

func (a *agent) pullListed(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for reference := range strings.FieldsSeq(string(data)) {
		if err := ctr(ctx, nil, "images", "pull", "--hosts-dir", a.file("etc/containerd/certs.d"), reference); err != nil {
			return err
		}
	}
	return nil
}

func ctr(ctx context.Context, input io.Reader, args ...string) error {
	command := exec.CommandContext(ctx, "ctr", append([]string{"--address", Socket, "--namespace", Namespace}, args...)...)
	command.Stdin = input
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return nil
}
