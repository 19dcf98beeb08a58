"""The methods' names in tables and figures, and which of them are the paper's."""

#: Names as the paper prints them, in the order of its tables.
_PAPER_NAMES = {
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
#: Of methods that came after it.
_LATER_NAMES = {"aligned_mtl": "Aligned-MTL", "famo": "FAMO", "fairgrad": "FairGrad"}

#: All of them, in the order of ``methods.METHODS``.
METHOD_NAMES = _PAPER_NAMES | _LATER_NAMES
#: What a sweep trains, and a table or figure of the paper shows, unless methods are named.
PAPER_METHODS = tuple(_PAPER_NAMES)
