package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const hostRoot = "/host"

// pciGPUs returns the slots ("0000:17:00.0") of NVIDIA's display and 3D controllers on the bus that a sysfs shows.
func pciGPUs(sysfs string) ([]string, error) {
	devices, err := filepath.Glob(filepath.Join(sysfs, "bus/pci/devices/*"))
	if err != nil {
		return nil, err
	}
	var slots []string
	for _, device := range devices {
		vendor, err := os.ReadFile(filepath.Join(device, "vendor"))
		if err != nil {
			return nil, err
		}
		class, err := os.ReadFile(filepath.Join(device, "class"))
		if err != nil {
			return nil, err
		}
		display := strings.HasPrefix(string(class), "0x0300") || strings.HasPrefix(string(class), "0x0302")
		if strings.TrimSpace(string(vendor)) == "0x10de" && display {
			slots = append(slots, filepath.Base(device))
		}
	}
	return slots, nil
}

type gpu struct{ uuid, name, memoryMiB, slot string }

// hostGPUs asks the host's nvidia-smi, run inside the host's root, which GPUs its driver sees.
func hostGPUs(ctx context.Context) ([]gpu, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "/usr/bin/nvidia-smi", "--query-gpu=uuid,name,memory.total,pci.bus_id", "--format=csv,noheader,nounits")
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: hostRoot}
	command.Dir, command.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("the host's nvidia-smi exited %d: %s", exit.ExitCode(), strings.TrimSpace(stdout.String()+stderr.String()))
		}
		return nil, fmt.Errorf("no pre-installed driver: the host's /usr/bin/nvidia-smi cannot be run: %w", err)
	}
	var gpus []gpu
	for line := range strings.Lines(stdout.String()) {
		fields := strings.Split(strings.TrimSpace(line), ", ")
		if len(fields) != 4 {
			return nil, fmt.Errorf("the host's nvidia-smi answered %q", line)
		}
		gpus = append(gpus, gpu{fields[0], fields[1], fields[2], slotOf(fields[3])})
	}
	return gpus, nil
}

// slotOf turns NVIDIA's "00000000:17:00.0" into sysfs's "0000:17:00.0".
func slotOf(busID string) string { return strings.ToLower(strings.TrimPrefix(busID, "0000")) }
