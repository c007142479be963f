"""The data of gpus.py: NVIDIA's chips and models by PCI device id.

Ids and names: the PCI ID project's pci.ids of 2026-07-31, vendor 10de. Compute capability: NVIDIA's list "CUDA GPU Compute Capability".
First version of a chip: that of the first CUDA toolkit which knows it, by the toolkit's release notes; NVIDIA's MIG User Guide where that
asks for a later one, and for models that came later. That of the RTX PRO 6000: the GPU Operator's platform support. MIG: the models
on the MIG User Guide's list, and no others. NVSwitches: NVIDIA's Fabric Manager User Guide.
"""

# First and last device id of a range that pci.ids gives to this chip alone, chip, generation, compute capability, first driver version.
CHIPS = """
1380 13bf GM107 Maxwell 5.0 346.46
13c0 13ff GM204 Maxwell 5.2 346.46
1400 147f GM206 Maxwell 5.2 346.46
17c0 17ff GM200 Maxwell 5.2 346.46
15c0 15ff GP100 Pascal 6.0 367.48
1b00 1b7f GP102 Pascal 6.1 367.48
1b80 1bff GP104 Pascal 6.1 367.48
1c00 1c7f GP106 Pascal 6.1 367.48
1c80 1cff GP107 Pascal 6.1 367.48
1d00 1d7f GP108 Pascal 6.1 367.48
1d80 1dff GV100 Volta 7.0 384.81
1e00 1e7f TU102 Turing 7.5 410.48
1e80 1eff TU104 Turing 7.5 410.48
1f00 1f7f TU106 Turing 7.5 410.48
1f80 1fff TU117 Turing 7.5 410.48
2180 21ff TU116 Turing 7.5 410.48
2080 20ff GA100 Ampere 8.0 450.80.02
2200 227f GA102 Ampere 8.6 455.23
2400 247f GA103 Ampere 8.6 455.23
2480 24ff GA104 Ampere 8.6 455.23
2500 257f GA106 Ampere 8.6 455.23
2580 25ff GA107 Ampere 8.6 455.23
2300 23ff GH100 Hopper 9.0 525.85.12
2680 26ff AD102 Ada 8.9 520.61.05
2700 277f AD103 Ada 8.9 520.61.05
2780 27ff AD104 Ada 8.9 520.61.05
2800 287f AD106 Ada 8.9 520.61.05
2880 28ff AD107 Ada 8.9 520.61.05
2900 297f GB100 Blackwell 10.0 570.133.20
3180 31ff GB110 Blackwell 10.3 580.82.07
2b80 2bff GB202 Blackwell 12.0 570.26
2c00 2c7f GB203 Blackwell 12.0 570.26
2d00 2d7f GB206 Blackwell 12.0 570.26
2d80 2dff GB207 Blackwell 12.0 570.26
2f00 2f7f GB205 Blackwell 12.0 570.26
"""

# Device id, marks, model. Marks, or - for none:
#   mig          can be divided into instances
#   nvswitch     also built onto boards with NVSwitches, whose host needs Fabric Manager
#   nvlink5      the same with switches of the fifth NVLink, whose host needs the NVLink Subnet Manager (NVLSM) too
#   open         driven by the open kernel modules alone, unlike others of its generation
#   >=VERSION    first driver version, later than its chip's
MODELS = """
13bd - Tesla M10
13f2 - Tesla M60
13f3 - Tesla M6
1431 - Tesla M4
17fd - Tesla M40
15f0 - Quadro GP100
15f7 - Tesla P100 PCIe 12GB
15f8 - Tesla P100 PCIe 16GB
15f9 - Tesla P100 SXM2 16GB
15fc - Tesla P100-DGXS-16GB
1b00 - TITAN X Pascal
1b02 - TITAN Xp
1b06 - GeForce GTX 1080 Ti
1b30 - Quadro P6000
1b38 - Tesla P40
1b39 - Tesla P10
1b80 - GeForce GTX 1080
1b81 - GeForce GTX 1070
1b82 - GeForce GTX 1070 Ti
1bb0 - Quadro P5000
1bb3 - Tesla P4
1bb4 - Tesla P6
1c03 - GeForce GTX 1060 6GB
1d81 - TITAN V
1db0 - Tesla GV100 SXM2-16GB SKU 890
1db1 - Tesla V100 SXM2 16GB
1db2 - Tesla V100 DGXS 16GB
1db3 - Tesla V100 FHHL 16GB
1db4 - Tesla V100 PCIe 16GB
1db5 - Tesla V100 SXM2 32GB
1db6 - Tesla V100 PCIe 32GB
1db7 - Tesla V100 DGXS 32GB
1db8 nvswitch Tesla V100 SXM3 32GB
1dba - Quadro GV100
1dbd - Tesla GV100 DGX1-V
1df5 - Tesla V100 SXM2 16GB
1df6 - Tesla V100S PCIe 32GB
1e02 - TITAN RTX
1e03 - GeForce RTX 2080 Ti 12GB
1e04 - GeForce RTX 2080 Ti
1e07 - GeForce RTX 2080 Ti Rev. A
1e30 - Quadro RTX 6000/8000
1e36 - Quadro RTX 6000
1e37 - Tesla T10 16GB / GRID RTX T10-2/T10-4/T10-8
1e38 - Tesla T40 24GB
1e78 - Quadro RTX 6000/8000
1e81 - GeForce RTX 2080 SUPER
1e82 - GeForce RTX 2080
1e84 - GeForce RTX 2070 SUPER
1e87 - GeForce RTX 2080 Rev. A
1eb0 - Quadro RTX 5000
1eb1 - Quadro RTX 4000
1eb4 - T4G
1eb8 - Tesla T4
1f02 - GeForce RTX 2070
1f03 - GeForce RTX 2060 12GB
1f06 - GeForce RTX 2060 SUPER
1f07 - GeForce RTX 2070 Rev. A
1f08 - GeForce RTX 2060 Rev. A
1f42 - GeForce RTX 2060 SUPER
20b0 nvswitch,mig A100 SXM4 40GB
20b1 mig A100 PCIe 40GB
20b2 nvswitch,mig A100 SXM4 80GB
20b3 - A100-SXM-64GB
20b5 mig A100 PCIe 80GB
20b7 mig,>=460.73.01 A30 PCIe
20b8 - A100X
20b9 - A30X
20bd nvswitch A800 SXM4 40GB
20f1 mig A100 PCIe 40GB
20f3 nvswitch A800-SXM4-80GB
20f5 - A800 80GB PCIe
20f6 - A800 40GB PCIe
20fd - AX800 Converged Accelerator
2203 - GeForce RTX 3090 Ti
2204 - GeForce RTX 3090
2206 - GeForce RTX 3080
2208 - GeForce RTX 3080 Ti
220a - GeForce RTX 3080 12GB
2230 - RTX A6000
2231 - RTX A5000
2232 - RTX A4500
2233 - RTX A5500
2235 - A40
2236 - A10
2237 - A10G
2238 - A10M
2484 - GeForce RTX 3070
2482 - GeForce RTX 3070 Ti
2486 - GeForce RTX 3060 Ti
2487 - GeForce RTX 3060
24b0 - RTX A4000
2503 - GeForce RTX 3060
2504 - GeForce RTX 3060 Lite Hash Rate
2531 - RTX A2000
2571 - RTX A2000 12GB
25b6 - A2 / A16
2684 - GeForce RTX 4090
2685 - GeForce RTX 4090 D
2689 - GeForce RTX 4070 Ti SUPER
26b1 - RTX 6000 Ada Generation
26b2 - RTX 5000 Ada Generation
26b3 - RTX 5880 Ada Generation
26b5 - L40
26b7 - L20
26b8 - L40G
26b9 - L40S
26ba - L20
2702 - GeForce RTX 4080 SUPER
2704 - GeForce RTX 4080
2705 - GeForce RTX 4070 Ti SUPER
2709 - GeForce RTX 4070
2782 - GeForce RTX 4070 Ti
2783 - GeForce RTX 4070 SUPER
2786 - GeForce RTX 4070
2788 - GeForce RTX 4060 Ti
2803 - GeForce RTX 4060 Ti
2805 - GeForce RTX 4060 Ti 16GB
2808 - GeForce RTX 4060
2882 - GeForce RTX 4060
27b0 - RTX 4000 SFF Ada Generation
27b1 - RTX 4500 Ada Generation
27b2 - RTX 4000 Ada Generation
27b6 - L2
27b8 - L4
28b0 - RTX 2000 / 2000E Ada Generation
2313 - H100 CNX
2321 mig H100L 94GB
2322 - H800 PCIe
2324 nvswitch H800
2328 - H20B
2329 nvswitch,mig,>=535.161.07 H20
232c nvswitch,mig,>=535.161.07 H20 HBM3e
230c mig,>=535.161.07 H20 NVL16
230e mig,>=535.161.07 H20 NVL16
2330 nvswitch,mig H100 SXM5 80GB
2331 mig H100 PCIe
2335 nvswitch,mig,>=550.90.07 H200 SXM 141GB
2336 - H100
2337 nvswitch H100 SXM5 64GB
2338 nvswitch H100 SXM5 96GB
2339 nvswitch,mig H100 SXM5 94GB
233a - H800L 94GB
233b mig,>=550.90.07 H200 NVL
233d - H100 96GB
2342 mig,open GH200 120GB / 480GB
2348 open GH200 144G HBM3e
2901 nvlink5,mig B200
2909 nvlink5,mig HGX B200 168GB
2941 nvlink5,mig HGX GB200
3182 nvlink5,mig B300 SXM6 AC
31c2 nvlink5,mig GB300
31c3 nvlink5,mig GB300
2b85 - GeForce RTX 5090
2b87 - GeForce RTX 5090 D
2b8c - GeForce RTX 5090 D V2
2bb1 mig,>=575.57.08 RTX PRO 6000 Blackwell Workstation Edition
2bb2 - RTX PRO 6000D Blackwell Workstation Edition
2bb3 mig,>=575.57.08 RTX PRO 5000 Blackwell / RTX PRO 5000 72GB Blackwell
2bb4 mig,>=575.57.08 RTX PRO 6000 Blackwell Max-Q Workstation Edition
2bb5 mig,>=575.57.08 RTX PRO 6000 Blackwell Server Edition
2bbc - RTX PRO 6000D Blackwell Max-Q Workstation Edition
2c02 - GeForce RTX 5080
2c05 - GeForce RTX 5070 Ti
2c31 mig,>=575.64 RTX PRO 4500 Blackwell
2c33 - RTX PRO 4000 Blackwell SFF Edition
2c34 - RTX PRO 4000 Blackwell
2c3a mig,>=575.64 RTX PRO 4500 Blackwell Server Edition
2d04 - GeForce RTX 5060 Ti
2d05 - GeForce RTX 5060
2d30 - RTX PRO 2000 Blackwell
2d83 - GeForce RTX 5050
2f04 - GeForce RTX 5070
2f06 - GeForce RTX 5060
"""
