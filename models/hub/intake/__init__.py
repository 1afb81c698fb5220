"""Somebody's model file becomes a package: recognised, read as data, made exact, compared.

Read in this order:

1. `forms`       which file is this; what would run code when loaded is refused with a way out.
2. `table`       the training table: feature names, bounds, sample and digest come from it.
3. `shapes`      what any supported model is inside: trees or one weighted sum, in plain numbers.
4. `affine`      scaling and imputation before the model, moved into its thresholds or weights.
5. `xgb`, `onnx_form`, `sklearn_form`   one reader per library, each the only one to import it.
6. `exact`       rounding to the 2^-16 grid, and the artifact's bytes.
7. `draft`       the manifest, after the exact form was compared with the file that was given.
"""
