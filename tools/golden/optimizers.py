"""Ten steps of each optimiser of torch.optim on a small regression with a changing learning rate.

Case "op:label": /p = kind, momentum, nesterov, beta1, beta2, epsilon, weight decay; /rates [10];
parameters w [3, 4] and b [4] start as formula.parameter(case + ".w" / ".b"); the loss is the sum over
a 5x4 residual of r^2 + 0.1 r^4 with r = x w + b - t; /w and /b hold the parameters after each step.
"""
import numpy as np
import torch

from golden import formula

SGD, ADAM, ADAMW = 0, 1, 2
CASES = {
    "sgd_update:plain": (SGD, 0.0, 0, 0.9, 0.999, 1e-8, 0.0),
    "sgd_update:decay": (SGD, 0.0, 0, 0.9, 0.999, 1e-8, 0.05),
    "sgd_update:momentum": (SGD, 0.9, 0, 0.9, 0.999, 1e-8, 0.0),
    "sgd_update:momentum_decay": (SGD, 0.8, 0, 0.9, 0.999, 1e-8, 0.1),
    "sgd_update:nesterov": (SGD, 0.9, 1, 0.9, 0.999, 1e-8, 0.02),
    "adam_update:plain": (ADAM, 0.0, 0, 0.9, 0.999, 1e-8, 0.0),
    "adam_update:decay": (ADAM, 0.0, 0, 0.9, 0.999, 1e-8, 0.1),
    "adam_update:betas": (ADAM, 0.0, 0, 0.5, 0.9, 1e-3, 0.0),
    "adam_update:decoupled": (ADAMW, 0.0, 0, 0.9, 0.999, 1e-8, 0.1),
    "adam_update:decoupled_betas": (ADAMW, 0.0, 0, 0.8, 0.95, 1e-6, 0.01),
}
STEPS = 10


def optimizer(parameters, p):
    kind, momentum, nesterov, beta1, beta2, epsilon, decay = p
    if kind == SGD:
        return torch.optim.SGD(parameters, lr=1.0, momentum=momentum, nesterov=bool(nesterov), weight_decay=decay)
    made = torch.optim.Adam if kind == ADAM else torch.optim.AdamW
    return made(parameters, lr=1.0, betas=(beta1, beta2), eps=epsilon, weight_decay=decay)


def make(store):
    x = torch.tensor(formula.uniform("optimizers.x", (5, 3)))
    t = torch.tensor(formula.uniform("optimizers.t", (5, 4)))
    for name, p in CASES.items():
        w = torch.tensor(formula.parameter(name + ".w", (3, 4)), requires_grad=True)
        b = torch.tensor(formula.parameter(name + ".b", (4,)), requires_grad=True)
        base = 0.01 if p[0] == SGD else 0.05
        rates = np.array([base / (1 + 0.3 * k) for k in range(STEPS)]).astype(np.float32).astype(np.float64)
        steps = optimizer([w, b], p)
        ws, bs, losses = [], [], []
        for rate in rates:
            for group in steps.param_groups:
                group["lr"] = float(rate)
            steps.zero_grad()
            r = x @ w + b - t
            loss = (r ** 2 + 0.1 * r ** 4).sum()
            loss.backward()
            steps.step()
            losses.append(loss.item())
            ws.append(w.detach().clone())
            bs.append(b.detach().clone())
        store.add(name + "/p", np.array(p, dtype=np.float64))
        store.add(name + "/rates", rates)
        store.add(name + "/losses", np.array(losses))
        store.add(name + "/w", torch.stack(ws))
        store.add(name + "/b", torch.stack(bs))
