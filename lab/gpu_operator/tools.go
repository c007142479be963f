package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	loadedDriver = "/run/nvidia-stand-in/version" // lab/nvidia: stands for what the kernel has loaded
	faultFile    = "/etc/nvidia-stand-in/fault"
	uvmDevice    = "/dev/nvidia-uvm"
	elements     = 50000
)

// tools are the programs that a container with a GPU calls by their own names, as links to this one.
var tools = map[string]func([]string) error{"vectorAdd": vectorAdd, "nvidia-smi": listUUIDs}

// hasUVM says whether the host's nvidia_uvm is loaded: with the driver, unless a test's fault keeps it away.
func hasUVM() bool {
	faults, err := os.ReadFile(hostRoot + faultFile)
	if err != nil && !os.IsNotExist(err) {
		return false
	}
	_, err = os.Stat(hostRoot + loadedDriver)
	return err == nil && !slices.Contains(strings.Fields(string(faults)), "uvm")
}

func visible() []string {
	return slices.DeleteFunc(strings.Split(os.Getenv("NVIDIA_VISIBLE_DEVICES"), ","), func(id string) bool { return !strings.HasPrefix(id, "GPU-") })
}

// listUUIDs answers the one question that a container asks nvidia-smi.
func listUUIDs(arguments []string) error {
	if !slices.Equal(arguments, []string{"--query-gpu=uuid", "--format=csv,noheader"}) {
		return errors.New("the stand-in knows --query-gpu=uuid --format=csv,noheader alone")
	}
	if len(visible()) == 0 {
		return errors.New("No devices were found") //nolint:staticcheck // NVIDIA's words
	}
	fmt.Println(strings.Join(visible(), "\n"))
	return nil
}

// vectorAdd is CUDA's sample without CUDA: it fails as that does where the container has no GPU or the host no nvidia_uvm, and adds on the CPU.
func vectorAdd([]string) error {
	fmt.Printf("[Vector addition of %d elements]\n", elements)
	reason := ""
	if _, err := os.Stat(uvmDevice); err != nil {
		reason = "unknown error"
	}
	if len(visible()) == 0 {
		reason = "no CUDA-capable device is detected"
	}
	if reason != "" {
		return fmt.Errorf("Failed to allocate device vector A (error code %s)!", reason) //nolint:staticcheck // NVIDIA's words
	}
	a, b, c := make([]float32, elements), make([]float32, elements), make([]float32, elements)
	for i := range a {
		a[i], b[i] = float32(i), float32(elements-i)
	}
	for i := range c {
		c[i] = a[i] + b[i]
	}
	for i, sum := range c {
		if sum != elements {
			return fmt.Errorf("Result verification failed at element %d!", i) //nolint:staticcheck // NVIDIA's words
		}
	}
	fmt.Println("Test PASSED\nDone")
	return nil
}
