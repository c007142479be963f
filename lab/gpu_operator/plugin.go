package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apimachinery/pkg/util/intstr"
	v1beta1 "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	pluginSocket   = "nvidia-gpu.sock"
	resourceName   = "nvidia.com/gpu"
	healthInterval = 5 * time.Second
	engine         = "/opt/rackstart-engine" // reaches containers as NVIDIA's toolkit brings the driver's libraries: from the host
)

var pluginProbePort = intstr.FromInt32(8080)

// plugin offers one nvidia.com/gpu per GPU on the host's PCI bus; healthy are those that the host's nvidia-smi lists.
type plugin struct {
	v1beta1.UnimplementedDevicePluginServer
	names map[string]string // PCI slot -> device id; a GPU that nvidia-smi never listed is known by its slot
}

func runDevicePlugin(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(v1beta1.DevicePluginPath); err != nil {
		return err
	}
	var registered atomic.Bool
	probe := &http.Server{Addr: fmt.Sprintf(":%d", pluginProbePort.IntVal), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !registered.Load() {
			http.Error(w, "not registered with the kubelet", http.StatusServiceUnavailable)
		}
	})}
	go probe.ListenAndServe() //nolint:errcheck // a probe that cannot listen shows as a pod that is not ready
	defer probe.Close()
	for ctx.Err() == nil {
		server := grpc.NewServer()
		err := serve(ctx, server)
		registered.Store(err == nil)
		if err != nil {
			ctrl.Log.Info("cannot register with the kubelet", "why", err.Error())
		}
		waitForKubelet(ctx, watcher, err != nil) // a restarted kubelet forgets its plugins and deletes their sockets
		registered.Store(false)
		server.Stop()
	}
	return nil
}

func serve(ctx context.Context, server *grpc.Server) error {
	socket := filepath.Join(v1beta1.DevicePluginPath, pluginSocket)
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	v1beta1.RegisterDevicePluginServer(server, &plugin{names: map[string]string{}})
	go server.Serve(listener) //nolint:errcheck // ends by Stop
	kubelet, err := grpc.NewClient("unix://"+v1beta1.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer kubelet.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = v1beta1.NewRegistrationClient(kubelet).Register(ctx, &v1beta1.RegisterRequest{
		Version: v1beta1.Version, Endpoint: pluginSocket, ResourceName: resourceName, Options: &v1beta1.DevicePluginOptions{},
	})
	return err
}

// waitForKubelet returns when the kubelet made its socket anew, when the context ends or, after a failure, soon.
func waitForKubelet(ctx context.Context, watcher *fsnotify.Watcher, failed bool) {
	var retry <-chan time.Time
	if failed {
		retry = time.After(2 * time.Second)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry:
			return
		case event := <-watcher.Events:
			if event.Name == v1beta1.KubeletSocket && event.Has(fsnotify.Create) {
				return
			}
		}
	}
}

// GetDevicePluginOptions asks the kubelet for nothing special.
func (p *plugin) GetDevicePluginOptions(context.Context, *v1beta1.Empty) (*v1beta1.DevicePluginOptions, error) {
	return &v1beta1.DevicePluginOptions{}, nil
}

// ListAndWatch sends the devices at once and again whenever one of them came, went or changed its health.
func (p *plugin) ListAndWatch(_ *v1beta1.Empty, stream v1beta1.DevicePlugin_ListAndWatchServer) error {
	var sent map[string]string
	for {
		devices, err := p.devices(stream.Context())
		if err != nil {
			return err
		}
		if sent == nil || !maps.Equal(devices, sent) {
			ctrl.Log.Info("devices", "health", devices)
			var response v1beta1.ListAndWatchResponse
			for _, id := range slices.Sorted(maps.Keys(devices)) {
				response.Devices = append(response.Devices, &v1beta1.Device{ID: id, Health: devices[id]})
			}
			if err := stream.Send(&response); err != nil {
				return err
			}
			sent = devices
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(healthInterval):
		}
	}
}

// devices returns device id -> health.
func (p *plugin) devices(ctx context.Context) (map[string]string, error) {
	slots, err := pciGPUs(filepath.Join(hostRoot, "sys"))
	if err != nil {
		return nil, err
	}
	gpus, err := hostGPUs(ctx)
	if err != nil {
		ctrl.Log.Info("no GPU is healthy", "why", err.Error())
	}
	health := map[string]string{}
	seen := map[string]bool{}
	for _, gpu := range gpus {
		p.names[gpu.slot], seen[gpu.slot] = gpu.uuid, true
	}
	for _, slot := range slots {
		id := slot
		if name := p.names[slot]; name != "" {
			id = name
		}
		health[id] = v1beta1.Unhealthy
		if seen[slot] {
			health[id] = v1beta1.Healthy
		}
	}
	return health, nil
}

// Allocate names the GPUs in the container's environment and mounts the engine and the device file of nvidia_uvm, where the host has them.
func (p *plugin) Allocate(_ context.Context, request *v1beta1.AllocateRequest) (*v1beta1.AllocateResponse, error) {
	response := &v1beta1.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		answer := &v1beta1.ContainerAllocateResponse{Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")}}
		if _, err := os.Stat(hostRoot + engine); err == nil {
			answer.Mounts = append(answer.Mounts, &v1beta1.Mount{HostPath: engine, ContainerPath: engine, ReadOnly: true})
		}
		if hasUVM() {
			answer.Mounts = append(answer.Mounts, &v1beta1.Mount{HostPath: loadedDriver, ContainerPath: uvmDevice, ReadOnly: true})
		}
		response.ContainerResponses = append(response.ContainerResponses, answer)
	}
	return response, nil
}
