package components

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/supervisor"
)

// ServerDirFlag names the server's directory to the API server's process.
const ServerDirFlag = "k3s-server-dir"

// apiServer is kube-apiserver with the supervisor's handler in front of its whole chain: both answer on one port, as in k3s,
// and Kubernetes' own authentication, upgrades and watches stay untouched.
func apiServer() *cobra.Command {
	run := options.NewServerRunOptions()
	ctx := genericapiserver.SetupSignalContext()
	var dir string
	command := &cobra.Command{
		Use: "kube-apiserver", SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			if err := run.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
				return err
			}
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			if err := logsapi.ValidateAndApply(run.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			completed, err := run.Complete(ctx)
			if err != nil {
				return err
			}
			if errs := completed.Validate(); len(errs) != 0 {
				return utilerrors.NewAggregate(errs)
			}
			return serve(ctx, completed, cluster.Dir(dir))
		},
	}
	sets := run.Flags()
	globalflag.AddGlobalFlags(sets.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	for _, set := range sets.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	command.Flags().StringVar(&dir, ServerDirFlag, "", "")
	cliflag.SetUsageAndHelpFunc(command, sets, 0)
	return command
}

func serve(ctx context.Context, completed options.CompletedOptions, dir cluster.Dir) error {
	config, err := app.NewConfig(completed)
	if err != nil {
		return err
	}
	generic := &config.Aggregator.GenericConfig.Config // the aggregator is the outermost of the chained servers
	client, err := kubernetes.NewForConfig(generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	chain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return supervisor.Wrap(chain(api, c), dir, client)
	}
	ready, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := app.CreateServerChain(ready)
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}
