"""The project's pipelines."""

from kedro.pipeline import node, pipeline

from pool_test import nodes


def register_pipelines():
    scoring = pipeline(
        [node(nodes.score, ["model", "params:weight", "cached"], "score", name="score")]
    )
    regions = [
        pipeline(
            scoring,
            namespace=region,
            inputs={"model", "cached"},
            parameters={"params:weight": f"params:regions.{region}"},
        )
        for region in ("eu", "us")
    ]
    main = pipeline(
        [
            node(nodes.clean, "companies", "clean", name="clean", tags="first"),
            node(lambda table: table, "clean", "table@rows", name="copy", tags="first"),
            node(nodes.lines, "table@lines", "size", name="size"),
            node(nodes.scale, ["clean", "params:factor"], "scaled", name="scale"),
            node(nodes.fit, "scaled", "model", name="fit"),
            node(nodes.keep, "model", "cached", name="keep"),
            node(nodes.split, "scaled", "parts", name="split"),
            node(nodes.join, "parts", "total", name="join"),
            node(nodes.draw, "scaled", "plot", name="draw"),
            node(nodes.chunks, "scaled", "last", name="chunks"),
        ]
    )
    return {
        "__default__": sum(regions, main),
        "scores": sum(regions),
        "small": main.only_nodes("clean", "scale"),
        "fail": main + pipeline([node(nodes.fail, "companies", "never", name="fail")]),
        "crash": main + pipeline([node(nodes.crash, "companies", "never", name="crash")]),
        "wait": pipeline([node(nodes.wait, "companies", "never", name="wait")]),
        "lazy": pipeline([node(nodes.lazy, "companies", "never", name="lazy")]),
    }
