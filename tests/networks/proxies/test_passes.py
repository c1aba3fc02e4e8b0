"""The passes: run once however many proxies ask, and the network is left as it was."""

import copy

import torch
from proxy_networks import BATCH, small_network
from torch import nn

from archflow.networks.proxies.passes import Passes, hooked, training_statistics


def test_one_forward_pass_serves_codes_gradients_activations_curvature_and_jacobians():
    network, calls = small_network(), []
    network.register_forward_hook(lambda *_: calls.append(1))
    passes = Passes(network, BATCH, {"codes", "gradients", "activations", "curvature", "jacobian"})
    assert calls == []
    for _ in range(2):
        assert passes.codes_kernel.shape == (6, 6)
        assert passes.jacobians.shape == (6, 32)
        assert [g.shape for g in passes.gradients] == [w.shape for w in passes.weights]
        assert [output.shape[1] for output, _ in passes.activations] == [3, 4, 3]
        assert [h.shape for h in passes.curvature] == [w.shape for w in passes.weights]
    assert calls == [1]


def test_codes_alone_keep_no_graph():
    network = small_network()
    outputs = []
    with hooked([network], lambda _, __, output: outputs.append(output)):
        _ = Passes(network, BATCH, {"codes"}).codes_kernel
    assert not outputs[0].requires_grad


def test_the_curvature_is_the_hessian_times_the_gradient():
    network = small_network().double()
    batch = type(BATCH)(BATCH.images.double(), BATCH.labels)
    weight = network[8].weight

    def loss(values):
        out = torch.func.functional_call(network, {"8.weight": values}, (batch.images,))
        return nn.functional.cross_entropy(out, batch.labels)

    hessian = torch.autograd.functional.hessian(loss, weight).reshape(12, 12)
    network.requires_grad_(False)
    weight.requires_grad_()
    head = Passes(nn.Sequential(network), batch, {"gradients", "curvature"})
    head.layers = [network[8]]
    expected = hessian @ head.gradients[0].flatten()
    assert torch.allclose(head.curvature[0].flatten(), expected, rtol=1e-9)


def test_batch_norms_see_the_batch_and_forget_it():
    network = small_network().eval()
    network[1].train()
    before = copy.deepcopy(network.state_dict())
    with training_statistics(network):
        seen = network[1](BATCH.images[:, :1].expand(-1, 3, -1, -1))
    assert seen.mean().abs() < 1e-6
    assert (network[1].training, network[4].training) == (True, False)
    assert network[1].track_running_stats
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
