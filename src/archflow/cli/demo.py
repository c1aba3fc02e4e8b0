"""`archflow demo`."""

from __future__ import annotations

from archflow.cli.common import (
    Device,
    EncoderFolder,
    Json,
    Overwrite,
    Seed,
    check_outputs,
    handled,
    load_encoder,
    open_space,
    owns_stdout,
    print_rows,
    tell,
    write_record,
)


@handled
def run(
    encoder: EncoderFolder = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the whole job offline: fit on 100 measured cells, rank 15,625, train the best five for real.

    Example: archflow demo
    """
    from archflow.benchmark.demo import LABELS, run_demo
    from archflow.progress import progress_bar

    check_outputs(json, overwrite=overwrite)
    pretrained = load_encoder(encoder, open_space("nasbench201"))
    tell(
        "The digits benchmark: NAS-Bench-201 cells trained for real on handwritten digits (docs/digits.md).\n"
        f"Each method sees {LABELS} of them with their accuracy and ranks the others."
    )
    with progress_bar("working") as report:
        demo = run_demo(seed=seed, device=device, encoder=pretrained, report=report)
    record = demo.to_json()
    write_record(json, record)
    if owns_stdout(json):
        return
    print_rows(
        ("method", "Kendall tau", "P@1%", "P@5%", "P@10%", "fit s"),
        [
            (
                entry["method"],
                f"{entry['mean']['kendall_tau']:.3f}",
                *(f"{value:.2f}" for value in entry["mean"]["precision_at"].values()),
                f"{entry['mean']['fit_seconds']:.1f}",
            )
            for entry in record["evaluations"]
        ],
    )
    tell(f"\nAll {demo.ranked} cells ranked in {demo.rank_seconds:.1f} s; the best five, trained now:")
    print_rows(
        ("cell", "predicted %", "reached %", "was labelled"),
        [
            (cell.text, f"{cell.predicted:.2f}", f"{cell.reached:.2f}", "yes" if cell.labelled else "no")
            for cell in demo.top
        ],
    )
    tell(
        f"Best labelled cell {demo.best_labelled:.2f} %, best of the whole table {demo.best_of_table:.2f} %, "
        f"best of these five {max(cell.reached for cell in demo.top):.2f} %. ({demo.seconds:.0f} s in all)"
    )
