"""Golden states of single operations: inputs, outputs and every gradient of sum(output * cotangent).

A case is named "op:label"; its arrays are
  /x0, /x1 ...  inputs (f64: REAL operands, i64: indices, u64: [seed, step, rows...] of a random op)
  /p            attributes as numbers; the table in tests/test_golden_ops.c says how they are read
  /y0, /y1 ...  outputs
  /c0, /c1 ...  cotangents of the outputs that have one
  /g0, /g1 ...  gradients for the inputs that have one
Inputs are float numbers held in f64: the cases run in f32 from the same values.
"""
import numpy as np
import torch
import torch.nn.functional as F

from golden import formula

INF = float("inf")


class Cases:
    def __init__(self, store):
        self.store = store
        self.name = None
        self.count = 0

    def values(self, *shape, low=-2.0, high=2.0):
        """Numbers that depend on the case's name and on how many were asked for before."""
        self.count += 1
        u = formula.uniform(f"{self.name}#{self.count}", shape)
        value = (low + (high - low) * u).astype(np.float32).astype(np.float64)
        return torch.tensor(value)

    def begin(self, name):
        self.name, self.count = name, 0

    def end(self, function, inputs, p=(), grads=None, cotangents=(0,)):
        """function(*inputs) gives one output or a tuple. grads: indices of differentiable inputs
        (None: all floating-point ones); cotangents: the outputs that get one."""
        xs = [x.clone() for x in inputs]
        if grads is None:
            grads = [i for i, x in enumerate(xs) if x.dtype == torch.float64]
        for i in grads:
            xs[i].requires_grad_(True)
        ys = function(*xs)
        if not isinstance(ys, tuple):
            ys = (ys,)
        loss = None
        for k in cotangents if grads else ():
            c = self.values(*ys[k].shape)
            self.store.add(f"{self.name}/c{k}", c)
            loss = (ys[k] * c).sum() + (0 if loss is None else loss)
        for i, x in enumerate(inputs):
            self.store.add(f"{self.name}/x{i}", x)
        for k, y in enumerate(ys):
            self.store.add(f"{self.name}/y{k}", y)
        if len(p) > 0:
            self.store.add(f"{self.name}/p", np.array([float(v) for v in p]))
        if grads:
            for i, g in zip(grads, torch.autograd.grad(loss, [xs[i] for i in grads])):
                self.store.add(f"{self.name}/g{i}", g)


NO_GRADIENT = {"sign": []}  # it is 0 everywhere: gradients stop there
SHAPES = [(1,), (7,), (3, 5), (2, 1, 3, 5)]


def unary(cases):
    table = {
        "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "square": torch.square,
        "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": F.softplus,
        "sign": torch.sign,
    }
    for op, function in table.items():
        for n, shape in enumerate(SHAPES):
            cases.begin(f"{op}:{n}")
            cases.end(function, [cases.values(*shape, low=-3, high=3)], grads=NO_GRADIENT.get(op))
    for op, function in {"log": torch.log, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal}.items():
        for n, shape in enumerate(SHAPES):
            cases.begin(f"{op}:{n}")
            cases.end(function, [cases.values(*shape, low=0.25, high=5)])
    cases.begin("reciprocal:negative")
    cases.end(torch.reciprocal, [cases.values(5, low=-4, high=-0.5)])
    # Ends of the range: no overflow on the way, and the kinks' own rules.
    far = torch.tensor([-80.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 80.0], dtype=torch.float64).float().double()
    for op in ("relu", "sigmoid", "tanh", "softplus", "abs", "sign"):
        cases.begin(f"{op}:far")
        # torch's softplus turns into x above a threshold; this is the formula itself
        cases.end((lambda x: torch.logaddexp(x, torch.zeros_like(x))) if op == "softplus" else table[op], [far],
                  grads=NO_GRADIENT.get(op))
    for n, slope in enumerate((0.01, 0.2, 0.0)):
        cases.begin(f"leaky_relu:{n}")
        x = cases.values(3, 7, low=-3, high=3)
        x[1, 2] = 0.0
        cases.end(lambda x, s=slope: F.leaky_relu(x, s), [x], p=[slope])
    for n, (low, high) in enumerate(((-1.0, 0.5), (-INF, 0.25), (0.0, INF))):
        cases.begin(f"clamp:{n}")
        # not at the ends, where the gradient passes here and not in PyTorch 2.15
        cases.end(lambda x, a=low, b=high: torch.clamp(x, a, b), [cases.values(4, 5)], p=[low, high])
    cases.begin("cast:f64")
    cases.end(lambda x: x * 1.0, [cases.values(3, 5)], p=[2])
    cases.begin("cast:u8")
    x = torch.tensor([-7.0, -0.5, 0.0, 0.99, 1.5, 254.999, 255.0, 255.5, 300.0, 1e6], dtype=torch.float64)
    cases.end(lambda x: torch.clamp(torch.trunc(x), 0, 255).to(torch.uint8), [x.float().double()], p=[6], grads=[])
    cases.begin("cast:i32")
    cases.end(lambda x: torch.trunc(x).to(torch.int32), [cases.values(9, low=-1000, high=1000)], p=[4], grads=[])
    cases.begin("cast:from_i64")
    cases.end(lambda x: x.to(torch.float64), [torch.tensor([[-3, 0, 7], [1, 2, 1 << 20]])], p=[0], grads=[])
    cases.begin("stop_gradient:product")  # built as x * stop_gradient(x)
    cases.end(lambda x: x * x.detach(), [cases.values(3, 4)])
    cases.begin("scale:0")
    cases.end(lambda x: x * -2.5, [cases.values(3, 5)], p=[-2.5])
    cases.begin("offset:0")
    cases.end(lambda x: x + 0.75, [cases.values(3, 5)], p=[0.75])


PAIRS = [((7,), (7,)), ((3, 5), (5,)), ((2, 3, 4), (3, 1)), ((4, 1, 3), (2, 1)), ((1,), (2, 3)),
         ((2, 3, 2, 5), (1, 3, 1, 1))]


def binary(cases):
    table = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
             "maximum": torch.maximum, "minimum": torch.minimum, "pow": torch.pow,
             "squared_error": lambda a, b: (a - b) ** 2}
    for op, function in table.items():
        for n, (a, b) in enumerate(PAIRS):
            cases.begin(f"{op}:{n}")
            low = {"pow": 0.2}.get(op, -2)
            x = cases.values(*a, low=low)
            y = cases.values(*b, low={"div": 0.4}.get(op, -2), high=3)
            cases.end(function, [x, y])
    cases.begin("pow:zero_base")
    cases.end(torch.pow, [torch.zeros(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.5], dtype=torch.float64)],
              grads=[0])
    comparisons = [torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge]
    for n, function in enumerate(comparisons):
        cases.begin(f"compare:{n}")
        a, b = torch.round(cases.values(3, 5)), torch.round(cases.values(5))
        cases.end(lambda a, b, f=function: f(a, b).double(), [a, b], p=[n], grads=[])
        cases.begin(f"compare:i64_{n}")
        a, b = torch.round(cases.values(9)).long(), torch.round(cases.values(9)).long()
        cases.end(lambda a, b, f=function: f(a, b).double(), [a, b], p=[n], grads=[])
    for n, (c, a, b) in enumerate([((7,), (7,), (7,)), ((2, 3, 4), (2, 3, 4), (2, 3, 4)),
                                   ((3, 1), (3, 5), (1, 5)), ((2, 1, 4), (3, 4), (1,))]):
        cases.begin(f"select:{n}")
        condition = torch.round(cases.values(*c, low=0, high=2))
        cases.end(lambda c, a, b: torch.where(c != 0, a, b),
                  [condition, cases.values(*a), cases.values(*b)], grads=[1, 2])


def reductions(cases):
    shapes = [((7,), (0,)), ((3, 5), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1)), ((2, 3, 4, 5), (0, 2, 3)),
              ((2, 3, 4, 5), (1,)), ((2, 3, 4, 5), (2, 3)), ((2, 1, 3), (1,)), ((4, 17, 3), (0, 2))]
    table = {"reduce_sum": torch.sum, "reduce_mean": torch.mean, "reduce_max": torch.amax,
             "reduce_min": torch.amin, "logsumexp": torch.logsumexp}
    for op, function in table.items():
        for n, (shape, axes) in enumerate(shapes):
            keep = n % 2 == 1
            cases.begin(f"{op}:{n}")
            cases.end(lambda x, f=function, a=axes, k=keep: f(x, dim=a, keepdim=k), [cases.values(*shape)],
                      p=[sum(1 << a for a in axes), keep])
    for op, function in (("reduce_max", torch.amax), ("reduce_min", torch.amin)):
        cases.begin(f"{op}:ties")
        cases.end(lambda x, f=function: f(x, dim=1), [torch.round(cases.values(4, 9))], p=[2, 0])
    cases.begin("logsumexp:far")
    x = torch.tensor([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1002.0]], dtype=torch.float64)
    # no gradient: exp(x - y) of an f32 y of 1000 is as inexact as that y
    cases.end(lambda x: torch.logsumexp(x, dim=1), [x], p=[2, 0], grads=[])
    for n, (shape, axis) in enumerate([((7,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 3, 4, 5), 1)]):
        for op, function in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
            cases.begin(f"{op}:{n}")
            cases.end(lambda x, f=function, a=axis: f(x, dim=a), [cases.values(*shape, low=-4, high=4)], p=[axis])
        cases.begin(f"argmax:{n}")
        cases.end(lambda x, a=axis: torch.argmax(x, dim=a), [cases.values(*shape)], p=[axis], grads=[])
    for op, function in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        cases.begin(f"{op}:far")
        x = torch.tensor([[500.0, 499.0, -500.0], [-500.0, -500.0, -500.0]], dtype=torch.float64)
        cases.end(lambda x, f=function: f(x, dim=1), [x], p=[1])


def shapes(cases):
    for n, (a, b, asked) in enumerate([((3, 4), (2, 6), (2, -1)), ((24,), (2, 3, 4), (2, 3, 4)),
                                       ((2, 1, 5), (10,), (-1,)), ((2, 3, 4), (6, 1, 4), (6, 1, 4))]):
        cases.begin(f"reshape:{n}")
        cases.end(lambda x, b=b: x.reshape(b), [cases.values(*a)], p=asked)
    for n, (a, order) in enumerate([((3, 5), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4, 5), (0, 2, 3, 1)),
                                    ((2, 1, 3), (1, 2, 0))]):
        cases.begin(f"transpose:{n}")
        cases.end(lambda x, o=order: x.permute(o), [cases.values(*a)], p=order)
    for n, (a, axis, begin, end) in enumerate([((7,), 0, 2, 5), ((3, 5), 1, 0, 1), ((2, 6, 3), 1, 3, 6),
                                               ((2, 3, 4, 5), 3, 1, 4)]):
        cases.begin(f"slice:{n}")
        cases.end(lambda x, a=axis, b=begin, e=end: x.narrow(a, b, e - b), [cases.values(*a)], p=[axis, begin, end])
    for n, (parts, axis) in enumerate([([(3,), (4,)], 0), ([(2, 3), (2, 1), (2, 5)], 1),
                                       ([(2, 3, 4), (1, 3, 4)], 0), ([(2, 2, 3, 3)] * 4, 1)]):
        cases.begin(f"concat:{n}")
        cases.end(lambda *xs, a=axis: torch.cat(xs, dim=a), [cases.values(*s) for s in parts], p=[axis])
    for n, (a, b) in enumerate([((1,), (7,)), ((3, 1), (3, 5)), ((5,), (2, 3, 5)), ((1, 3, 1, 1), (2, 3, 4, 4))]):
        cases.begin(f"broadcast_to:{n}")
        cases.end(lambda x, b=b: x.expand(b), [cases.values(*a)], p=b)
    for n, (a, axis, before, after) in enumerate([((3,), 0, 2, 1), ((3, 5), 1, 0, 3), ((2, 3, 4, 5), 2, 1, 1)]):
        cases.begin(f"pad:{n}")

        def pad(x, axis=axis, before=before, after=after):
            return F.pad(x, [0, 0] * (x.dim() - 1 - axis) + [before, after])
        cases.end(pad, [cases.values(*a)], p=[axis, before, after])


def scatter_update(table, index, rows):
    """On duplicates the lowest row wins."""
    for i in reversed(range(index.shape[0])):
        table = torch.cat([table[:index[i]], rows[i:i + 1], table[index[i] + 1:]])
    return table


def indices(cases):
    for n, (table, index) in enumerate([((7,), [3, 0, 3, 6]), ((5, 3), [4, 4, 0]), ((4, 2, 3), [[1, 0], [3, 1]]),
                                        ((1, 5), [0, 0])]):
        cases.begin(f"gather:{n}")
        cases.end(lambda t, i: t[i], [cases.values(*table), torch.tensor(index)])
    for n, (table, index) in enumerate([((7,), [3, 0, 6]), ((5, 3), [4, 1, 4, 4]), ((4, 2, 3), [2]),
                                        ((6,), [5, 5, 2, 2])]):
        cases.begin(f"scatter_update:{n}")
        rows = cases.values(len(index), *table[1:])
        cases.end(scatter_update, [cases.values(*table), torch.tensor(index), rows])
    for n, (extent, index, rest) in enumerate([(7, [3, 0, 3, 6], ()), (5, [4, 4, 0], (3,)), (2, [1], (2, 3))]):
        cases.begin(f"scatter_add:{n}")

        def scatter_add(i, r, extent=extent):
            return torch.zeros(extent, *r.shape[1:], dtype=torch.float64).index_add(0, i, r)
        cases.end(scatter_add, [torch.tensor(index), cases.values(len(index), *rest)], p=[extent])
    for n, (segments, count, empty) in enumerate([([0, 1, 0, 2, 1], 3, 0.0), ([3, 0, 3], 5, -1.5)]):
        cases.begin(f"segment_max:{n}")

        def segment_max(v, s, count=count, empty=empty):
            return torch.stack([v[s == k].max() if (s == k).any() else torch.tensor(empty, dtype=torch.float64)
                                for k in range(count)])
        cases.end(segment_max, [cases.values(len(segments)), torch.tensor(segments)], p=[count, empty], grads=[])
    cases.begin("one_hot:0")
    cases.end(lambda i: F.one_hot(i, 4).double(), [torch.tensor([3, 0, 0, 2])], p=[4], grads=[])


def matmul(cases):
    shapes = [((3, 4), (4, 5)), ((1, 7), (7, 1)), ((17, 33), (33, 9)), ((2, 3, 4), (2, 4, 5)),
              ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (1, 3, 4, 2)), ((5, 2, 6), (5, 6, 1))]
    for n, (a, b) in enumerate(shapes):
        for ta, tb in [(0, 0), (0, 1), (1, 0), (1, 1)]:
            cases.begin(f"matmul:{n}_{ta}{tb}")
            x = cases.values(*(a[:-2] + (a[-1], a[-2]) if ta else a))
            y = cases.values(*(b[:-2] + (b[-1], b[-2]) if tb else b))

            def product(x, y, ta=ta, tb=tb):
                return torch.matmul(x.transpose(-1, -2) if ta else x, y.transpose(-1, -2) if tb else y)
            cases.end(product, [x, y], p=[ta, tb])


# x, weights, bias, stride, padding, dilation, groups
CONVOLUTIONS = [
    ((1, 1, 3, 3), (1, 1, 1, 1), False, (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 5, 6), (4, 3, 3, 3), True, (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 5, 6), (4, 3, 3, 3), True, (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 7, 6), (4, 3, 3, 2), True, (2, 1), (1, 0), (1, 1), 1),
    ((1, 4, 9, 8), (6, 2, 3, 3), True, (2, 2), (2, 1), (1, 1), 2),
    ((2, 4, 7, 7), (4, 1, 3, 3), False, (1, 1), (1, 1), (1, 1), 4),
    ((1, 2, 9, 10), (3, 2, 3, 3), True, (1, 2), (2, 3), (2, 3), 1),
    ((2, 5, 4, 4), (7, 5, 1, 1), True, (2, 2), (0, 0), (1, 1), 1),
    ((1, 16, 6, 6), (16, 16, 3, 3), True, (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 11, 11), (5, 3, 7, 7), False, (2, 2), (3, 3), (1, 1), 1),
]
# x, weights, bias, stride, padding, output padding, dilation, groups
TRANSPOSED = [
    ((1, 1, 3, 3), (1, 1, 1, 1), False, (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((2, 3, 4, 5), (3, 4, 3, 3), True, (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((2, 3, 4, 5), (3, 4, 3, 3), True, (2, 2), (1, 1), (1, 1), (1, 1), 1),
    ((1, 4, 3, 4), (4, 3, 3, 2), True, (2, 3), (1, 0), (1, 2), (1, 1), 2),
    ((1, 2, 4, 4), (2, 3, 3, 3), True, (2, 1), (1, 2), (0, 0), (2, 2), 1),
    ((1, 16, 4, 4), (16, 16, 3, 3), True, (1, 1), (0, 0), (0, 0), (1, 1), 1),
]


def convolutions(cases):
    for op in ("conv2d", "conv2d_backward_weights"):
        for n, (x, w, bias, stride, padding, dilation, groups) in enumerate(CONVOLUTIONS):
            if op != "conv2d" and n % 3 != 0:
                continue
            cases.begin(f"{op}:{n}")
            inputs = [cases.values(*x), cases.values(*w)] + ([cases.values(w[0])] if bias else [])

            def convolve(x, w, b=None, s=stride, p=padding, d=dilation, g=groups):
                return F.conv2d(x, w, b, s, p, d, g)
            # without the gradient for x the only products are forward and backward-weights
            cases.end(convolve, inputs, p=[*stride, *padding, *dilation, groups],
                      grads=None if op == "conv2d" else list(range(1, len(inputs))))
    for n, (x, w, bias, stride, padding, extra, dilation, groups) in enumerate(TRANSPOSED):
        cases.begin(f"conv2d_backward_data:{n}")  # what a transposed convolution is
        inputs = [cases.values(*x), cases.values(*w)] + ([cases.values(w[1] * groups)] if bias else [])

        def spread(x, w, b=None, s=stride, p=padding, e=extra, d=dilation, g=groups):
            return F.conv_transpose2d(x, w, b, s, p, e, g, d)
        cases.end(spread, inputs, p=[*stride, *padding, *dilation, groups, *extra])


def pooling(cases):
    pools = [((1, 1, 4, 4), (2, 2), (2, 2), (0, 0)), ((2, 3, 5, 7), (2, 3), (2, 2), (0, 0)),
             ((2, 3, 7, 6), (3, 3), (2, 2), (1, 1)), ((1, 2, 5, 5), (3, 2), (1, 1), (1, 1)),
             ((2, 4, 3, 3), (3, 3), (3, 3), (0, 0))]
    for n, (x, kernel, stride, padding) in enumerate(pools):
        p = [*kernel, *stride, *padding]
        for suffix in ("", "_backward"):
            cases.begin(f"max_pool2d{suffix}:{n}")
            values = cases.values(*x)
            if n == 2:
                values = torch.round(values)  # ties: the first maximum gets the gradient
            cases.end(lambda x, k=kernel, s=stride, p=padding: F.max_pool2d(x, k, s, p), [values], p=p)
            cases.begin(f"avg_pool2d{suffix}:{n}")
            cases.end(lambda x, k=kernel, s=stride, p=padding: F.avg_pool2d(x, k, s, p), [cases.values(*x)], p=p)


def batch_norm(cases):
    for n, (shape, epsilon) in enumerate([((4, 1), 1e-5), ((8, 5), 1e-5), ((5, 3, 4, 3), 1e-5),
                                          ((1, 2, 3, 5), 1e-3), ((8, 17, 2, 2), 1e-5)]):
        c = shape[1]
        view = (1, c) + (1,) * (len(shape) - 2)
        axes = [a for a in range(len(shape)) if a != 1]

        def train(x, gamma, beta, epsilon=epsilon, axes=axes, c=c):
            y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=epsilon)
            return y, x.mean(dim=axes).detach(), x.var(dim=axes, unbiased=False).detach()
        for op in ("batch_norm_train", "batch_norm_backward"):
            cases.begin(f"{op}:{n}")
            cases.end(train, [cases.values(*shape, low=-1, high=4), cases.values(c), cases.values(c)], p=[epsilon])
        cases.begin(f"batch_norm_inference:{n}")

        def inference(x, gamma, beta, mean, var, epsilon=epsilon, view=view):
            return (x - mean.view(view)) / torch.sqrt(var.view(view) + epsilon) * gamma.view(view) + beta.view(view)
        cases.end(inference, [cases.values(*shape), cases.values(c), cases.values(c), cases.values(c),
                              cases.values(c, low=0.3, high=3)], p=[epsilon], grads=[0, 1, 2])


def losses(cases):
    for n, (rows, classes) in enumerate([(1, 2), (4, 3), (9, 10), (3, 1)]):
        labels = torch.tensor([(i * 7 + 1) % classes for i in range(rows)])
        cases.begin(f"cross_entropy:{n}")
        cases.end(lambda x, t: F.cross_entropy(x, t, reduction="none"),
                  [cases.values(rows, classes, low=-5, high=5), labels])
        cases.begin(f"generalized_cross_entropy:{n}")
        q = [0.7, 0.7, 0.3, 1.0][n]
        cases.end(lambda x, t, q=q: (1 - torch.softmax(x, 1)[torch.arange(x.shape[0]), t] ** q) / q,
                  [cases.values(rows, classes, low=-3, high=3), labels], p=[q])
    cases.begin("cross_entropy:far")
    x = torch.tensor([[300.0, -300.0, 0.0], [0.0, 300.0, 299.0]], dtype=torch.float64)
    cases.end(lambda x, t: F.cross_entropy(x, t, reduction="none"), [x, torch.tensor([1, 1])])
    for n, shape in enumerate([(7,), (2, 1, 3, 5)]):
        cases.begin(f"bernoulli_cross_entropy:{n}")
        cases.end(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
                  [cases.values(*shape, low=-6, high=6), cases.values(*shape, low=0, high=1)])
        cases.begin(f"gaussian_kl:{n}")
        cases.end(lambda m, v: 0.5 * (m ** 2 + torch.exp(v) - 1 - v), [cases.values(*shape), cases.values(*shape)])
        cases.begin(f"gaussian_log_density:{n}")
        cases.end(lambda x, m, v: torch.distributions.Normal(m, torch.exp(v / 2)).log_prob(x),
                  [cases.values(*shape), cases.values(*shape), cases.values(*shape)])


def random(cases):
    """x0 is [seed, step, rows...]; the label is the node's name, which is the stream."""
    for n, (shape, seed, step, rows) in enumerate([
            ((3, 5), 0, 0, [0, 1, 2]), ((2, 1, 3, 3), 12345678901234567890, 7, [5, 1 << 40]),
            ((4,), 42, 0xFFFFFFFF, [9, 9, 3, 0xFFFFFFFFFFFFFFFF])]):
        key = torch.tensor(np.array([seed, step, *rows], dtype=np.uint64))
        for op, draw in (("sample_normal", formula.sample_normal), ("sample_uniform", formula.sample_uniform)):
            cases.begin(f"{op}:{op}_{n}")
            value = draw(seed, f"{op}_{n}", step, rows, shape)
            cases.end(lambda k, v=value: torch.tensor(v), [key], p=shape, grads=[])
    for n, (shape, p) in enumerate([((3, 5), 0.5), ((2, 3, 4, 4), 0.1), ((4, 9), 0.0)]):
        key = torch.tensor(np.array([77, n, *range(shape[0])], dtype=np.uint64))
        cases.begin(f"dropout:dropout_{n}")
        mask = torch.tensor(formula.dropout_mask(77, f"dropout_{n}", n, range(shape[0]), shape, p))
        cases.end(lambda k, x, m=mask: x * m, [key, cases.values(*shape)], p=[p], grads=[1])


def make(store):
    cases = Cases(store)
    for part in (unary, binary, reductions, shapes, indices, matmul, convolutions, pooling, batch_norm,
                 losses, random):
        part(cases)
