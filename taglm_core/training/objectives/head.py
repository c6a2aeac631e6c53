"""The objective of a task with a head: a function tag and the head learn it together."""

import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.model.taskmodel import TaskModel
from taglm_core.training.head_fitter import HeadFitter, HeadFollower, start_from_mean_embedding
from taglm_core.training.head_loss import HeadLoss, ReadRows, known_shares
from taglm_core.training.objectives.reading import StateReader, step_lengths
from taglm_core.training.recipe import FIT_KEYS, HeadRecipe
from taglm_core.training.splits import SplitData


def fitted_sample(seed: int, num_rows: int, fit_rows: int) -> np.ndarray:
    """Return the indices of the training rows that heads are fitted to.

    Args:
        seed: Of the run.
        num_rows: Training rows.
        fit_rows: Most that are taken.
    """
    rng = np.random.default_rng([seed, 77])
    return np.sort(rng.permutation(num_rows)[:fit_rows])


class HeadObjective:
    """The loss of a task on its training split, the first metric on its validation split."""

    def __init__(
        self,
        task_model: TaskModel,
        train: SplitData,
        valid: SplitData,
        max_tokens: int,
        *,
        fit_rows: int = 0,
        seed: int = 0,
        sorts_batches: bool = False,
        delta: float | None = None,
        fit_epochs: int = 40,
        selects_by_loss: bool = False,
        recipe: HeadRecipe | None = None,
    ) -> None:
        """Keep the splits.

        Args:
            task_model: Model, head and scaling.
            train: Training rows.
            valid: Validation rows.
            max_tokens: Token budget of a batch of the evaluation.
            fit_rows: Most training rows to which `refine` fits the head; 0: it does not.
            seed: Decides which, and the order of passes over them.
            sorts_batches: Whether rows of like length meet in a step, where whole rows are run in
                every one. Never decided by what is cached, so that the curves are the same.
            delta: Huber threshold, see `HeadLoss`.
            fit_epochs: Passes of the fit of a head without closed form.
            selects_by_loss: See `HeadLoss`.
            recipe: How the head is fitted, whatever the validation split says; None: that decides.
        """
        self.task_model = task_model
        self.train = train
        self.valid = valid
        self.fit_rows = fit_rows
        self.seed = seed
        self.sorts_batches = sorts_batches
        self.lengths = step_lengths(train)
        self.head_loss = HeadLoss(task_model, delta, selects_by_loss)
        fixed = recipe.fit if recipe is not None else None
        self.fitter = HeadFitter(self.head_loss, seed, fit_epochs, fixed)
        self.recipe = recipe
        self._found: dict[str, float] = {}
        self.follower: HeadFollower | None = None
        if fit_rows:
            window = min(fit_rows, len(train.rows))
            self.follower = HeadFollower.of(self.head_loss, train.targets, window)
        self._reader = StateReader(task_model, max_tokens)
        self._targets = self.head_loss.targets(train.targets)
        self._shares = known_shares(self._targets)
        self._weights: Tensor | None = None
        if train.weights is not None:
            self._weights = torch.from_numpy(train.weights).float()
            self._shares = self._shares * self._weights
        self._fitted_states: Tensor | None = None
        self._valid_states: Tensor | None = None
        self._is_solved = False

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return what the closed form sets, and what it needs to go on."""
        head, scaling = self.task_model.head, self.task_model.scaling
        assert head is not None, "a task that is not text has a head"
        found = [scaling.offset, *head.buffers()]
        if scaling.sigma is not None:
            found.append(scaling.sigma)
        return (*found, *(self.follower.buffers if self.follower is not None else ()))

    @property
    def head_parameters(self) -> tuple[nn.Parameter, ...]:
        """Return the head's parameters, none where it follows the tag in closed form."""
        head = self.task_model.head
        return () if head is None or self.follower is not None else tuple(head.parameters())

    def start(self, how: str) -> dict[str, float]:
        """Give the head its start.

        Args:
            how: "fit": fitted to states of the untrained function tag; "mean_embedding": the
                paper's start of a linear head, another starts as its module does.

        Returns:
            What was found, for the log.
        """
        if how == "mean_embedding":
            start_from_mean_embedding(self.task_model)
            return {}
        return self._fit_head()

    def refine(self) -> None:
        """Fit the head to the present tag, if that gains on the validation split."""
        if self.fit_rows and (self.recipe is None or self.recipe.ends_with_fit):
            self._fit_head()

    def _fit_head(self) -> dict[str, float]:
        """Fit the head to some training rows; one that follows the tag goes on from these."""
        sample, states, targets = self.fitted_rows()
        weights = self.weights_of(sample)
        found = self.fitter.fit(states, targets, self._valid_rows(), weights)
        if self.follower is not None:
            self.follower.restart(states, targets, found.get("fit_alpha"), weights)
        self._found = {key: value for key, value in found.items() if key in FIT_KEYS}
        return found

    def fitted_rows(self) -> tuple[np.ndarray, Tensor, Tensor]:
        """Return the training rows that heads are fitted to.

        Returns:
            Their indices, what the head reads `(rows, width)`, and their targets as the loss
            takes them.
        """
        sample = fitted_sample(self.seed, len(self.train.rows), self.fit_rows)
        if self._fitted_states is None:
            self._fitted_states = self._reader.all(self.train, sample)
        return sample, self._fitted_states, self._targets[torch.from_numpy(sample)]

    def valid_states(self) -> Tensor:
        """Return what the head reads for the validation split, `(rows, width)`."""
        return self._valid_rows().states

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Solve a head that follows the tag once for all batches of a step.

        How a step is cut depends on what is cached of its rows; its result must not.
        """
        self._is_solved = self.follower is not None and num_batches > 1
        if self.follower is not None and num_batches > 1:
            states = self._reader.all(self.train, indices)
            own = self._targets[torch.from_numpy(indices)]
            self.follower.follow(states, own, self.weights_of(indices))

    def weight(self, indices: np.ndarray) -> float:
        """Return what rows count: their sample weights, of those that lack targets a share."""
        # of rows that count nothing the loss is 0, and so is its mean
        return float(self._shares[torch.from_numpy(indices)].sum()) or 1.0

    def weights_of(self, indices: np.ndarray) -> Tensor | None:
        """Return the sample weights of some training rows; None: all count the same."""
        return None if self._weights is None else self._weights[torch.from_numpy(indices)]

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed loss and the weight of some training rows."""
        states = self._reader.pooled(self.train, indices)
        targets = self._targets[torch.from_numpy(indices)].to(states.device)
        if self.follower is not None and not self._is_solved:
            self.follower.follow(states, targets, self.weights_of(indices))
        losses = self.head_loss.rows(self.task_model.outputs(states), targets)
        weights = self.weights_of(indices)
        if weights is not None:
            losses = losses * weights.to(losses.device)
        return losses.sum(), self.weight(indices)

    def moved(self) -> None:
        """Forget the states, which are those of another tag now."""
        self._fitted_states = self._valid_states = None

    def _valid_rows(self) -> ReadRows:
        """Return what the head reads for the validation split.

        Fitting heads and judging them read the same states, so they are computed once and kept
        until the tag moves.
        """
        if self._valid_states is None:
            self._valid_states = self._reader.all(self.valid)
        return ReadRows(self._valid_states, self.valid.targets)

    def valid_loss(self) -> float:
        """Return the loss on the validation split, a mean over its rows."""
        return self.head_loss.of(self._valid_rows())

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return the cost on the validation split and what to log: metrics, and how the head fits.

        The latter is said where the fit before this evaluation was kept.
        """
        cost, metrics = self.head_loss.cost(self._valid_rows())
        return cost, {k: v for k, v in metrics.items() if "." not in k} | self._found

    def predict(self, split: SplitData) -> np.ndarray:
        """Return predictions for a split."""
        return self.head_loss.predict(self._reader.all(split))
