// Deploys one object as Argo CD's application controller does, with Argo CD's own engine.
//
//	argocd sync [-server-side] [-replace] [-force] [-wait]   one sync operation; until it is healthy
//	argocd diff [-server-side]                               three-way, or by a server-side dry run
//
// The manifest is read from stdin as JSON; the last line of stdout is Argo CD's word for the outcome.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"rejob.dev/tests/program"
)

const manager = "argocd-controller"

func main() {
	flags := flag.NewFlagSet("argocd", flag.ExitOnError)
	serverSide := flags.Bool("server-side", false, "ServerSideApply=true, ServerSideDiff=true")
	replace := flags.Bool("replace", false, "Replace=true")
	force := flags.Bool("force", false, "Force=true")
	wait := flags.Bool("wait", false, "wait until the object is healthy")
	usage := "argocd sync|diff [-server-side] [-replace] [-force] [-wait]"
	program.Main(usage, flags, func(command string, manifest map[string]any) error {
		target := &unstructured.Unstructured{Object: manifest}
		return run(command, target, *serverSide, *replace, *force, *wait)
	})
}

func run(command string, target *unstructured.Unstructured, serverSide, replace, force, wait bool) error {
	annotations := target.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["argocd.argoproj.io/tracking-id"] =
		fmt.Sprintf("app:batch/Job:%s/%s", target.GetNamespace(), target.GetName())
	target.SetAnnotations(annotations)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	ctx := context.Background()
	get := func() (*unstructured.Unstructured, error) {
		return kubectl.GetResource(ctx, config, target.GroupVersionKind(), target.GetName(), target.GetNamespace())
	}
	live, err := get()
	if apierrors.IsNotFound(err) {
		live = nil
	} else if err != nil {
		return err
	}
	if command == "diff" {
		return printDiff(config, kubectl, target, live, serverSide)
	}
	err = doSync(config, kubectl, target, live,
		sync.WithServerSideApply(serverSide), sync.WithServerSideApplyManager(manager),
		sync.WithReplace(replace), sync.WithOperationSettings(false, false, force, false))
	if err != nil || !wait {
		return err
	}
	return healthy(get)
}

// healthy waits for up to a minute.
func healthy(get func() (*unstructured.Unstructured, error)) error {
	for range 300 {
		live, err := get()
		if err != nil {
			return err
		}
		status, err := health.GetResourceHealth(live, nil)
		if err != nil {
			return err
		}
		switch status.Status {
		case health.HealthStatusHealthy:
			fmt.Println(status.Status)
			return nil
		case health.HealthStatusDegraded:
			return fmt.Errorf("%s: %s", status.Status, status.Message)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return errors.New("not healthy within a minute")
}

func printDiff(config *rest.Config, kubectl *kube.KubectlCmd, target, live *unstructured.Unstructured, serverSide bool) error {
	options := []diff.Option{diff.WithManager(manager)}
	if serverSide {
		applier, cleanup, err := kubectl.ManageServerSideDiffDryRuns(config)
		if err != nil {
			return err
		}
		defer cleanup()
		_, parser, err := kubectl.LoadOpenAPISchema(config)
		if err != nil {
			return err
		}
		options = append(options, diff.WithServerSideDiff(true), diff.WithGVKParser(parser),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier)))
	}
	result, err := diff.Diff(target, live, options...)
	if err != nil {
		return err
	}
	var predicted any
	if err := json.Unmarshal(result.PredictedLive, &predicted); err != nil {
		return err
	}
	if err := program.Print(predicted); err != nil {
		return err
	}
	if result.Modified {
		fmt.Println("OutOfSync")
	} else {
		fmt.Println("Synced")
	}
	return nil
}

func doSync(config *rest.Config, kubectl *kube.KubectlCmd, target, live *unstructured.Unstructured, options ...sync.SyncOpt) error {
	both := sync.ReconciliationResult{
		Target: []*unstructured.Unstructured{target},
		Live:   []*unstructured.Unstructured{live},
	}
	options = append(options, sync.WithLogr(logr.Discard()))
	operation, cleanup, err := sync.NewSyncContext("revision", both, config, config, kubectl, target.GetNamespace(), options...)
	if err != nil {
		return err
	}
	defer cleanup()
	for {
		operation.Sync()
		phase, message, results := operation.GetState()
		if phase.Completed() {
			for _, result := range results {
				fmt.Printf("%s: %s\n", result.Status, result.Message)
			}
			if phase != common.OperationSucceeded {
				return fmt.Errorf("%s: %s", phase, message)
			}
			fmt.Println(phase)
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}
