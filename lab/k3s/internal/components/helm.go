package components

import (
	"time"

	"github.com/k3s-io/helm-controller/pkg/controllers"
	"github.com/k3s-io/helm-controller/pkg/controllers/common"
	"github.com/k3s-io/helm-controller/pkg/crds"
	"github.com/rancher/wrangler/v3/pkg/crd"
	"github.com/spf13/cobra"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/clientcmd"
)

// helmController is k3s-io/helm-controller as k3s embeds it: CRDs first, then charts of all namespaces under a lease.
func helmController() *cobra.Command {
	var kubeconfig, node, jobImage string
	command := &cobra.Command{
		Use: "helm-controller", SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			ctx := genericapiserver.SetupSignalContext()
			config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
				&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, &clientcmd.ConfigOverrides{})
			rest, err := config.ClientConfig()
			if err != nil {
				return err
			}
			client, err := clientset.NewForConfig(rest)
			if err != nil {
				return err
			}
			definitions, err := crds.List()
			if err != nil {
				return err
			}
			if err := crd.BatchCreateCRDs(ctx, client.ApiextensionsV1().CustomResourceDefinitions(), nil, time.Minute, definitions); err != nil {
				return err
			}
			options := common.Options{Threadiness: 1, NodeName: node, JobClusterRole: "cluster-admin", DefaultJobImage: jobImage}
			failed := make(chan error, 1)
			go func() { failed <- controllers.Register(ctx, "", "helm-controller", config, options) }() // panics when it loses its lease
			select {
			case err := <-failed:
				return err
			case <-ctx.Done():
				return nil
			}
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "")
	command.Flags().StringVar(&node, "node-name", "", "")
	command.Flags().StringVar(&jobImage, "job-image", "", "")
	return command
}
