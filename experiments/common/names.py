"""The methods' names in tables and figures."""

#: Names as the paper prints them, in the order of its tables (that of ``methods.METHODS``).
METHOD_NAMES = {
    "stl": "STL",
    "ls": "LS",
    "si": "SI",
    "rlw": "RLW",
    "dwa": "DWA",
    "uw": "UW",
    "mgda": "MGDA",
    "pcgrad": "PCGrad",
    "graddrop": "GradDrop",
    "cagrad": "CAGrad",
    "imtl_g": "IMTL-G",
    "nash_mtl": "Nash-MTL",
}
